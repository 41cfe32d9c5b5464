//! What a profile and a client can do to a server, with profiles and bounds made for it.
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant, SystemTime};

use super::server::{LIMITS, Limits, Server, start};
use super::{Addr, Handler, addr::Resolve as _};
use crate::error::{Error, Result};
use crate::profile::{Entry, How, Profile, Recording, Source};
use crate::record::ValueType;
use crate::snapshot::{Key, Meta, Row, Snapshot};
use crate::store::Stack;

/// A profile that counts up with every snapshot, and whose windows can be counted.
#[derive(Debug)]
struct Fake {
    started: bool,
    snapshots: AtomicI64,
    running: AtomicUsize,
    finished: AtomicUsize,
}

impl Fake {
    const fn new(started: bool) -> Fake {
        Fake {
            started,
            snapshots: AtomicI64::new(0),
            running: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
        }
    }
}

impl Source for Fake {
    fn count(&self) -> usize {
        1
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        assert_ne!(name, "test/panics");
        if name == "test/slow" {
            std::thread::sleep(Duration::from_millis(1500));
        }
        let meta = Meta {
            profile: name,
            value_types: vec![ValueType::new("fakes", "count")],
            time: SystemTime::now(),
            cumulative: true,
            ..Meta::default()
        };
        let value = 100 + self.snapshots.fetch_add(1, SeqCst);
        let row =
            |address, value| Row { key: Key::of(Stack::intern(&[address], 0)), values: [value, 0, 0, 0] };
        Snapshot::new(meta, vec![row(0x1000, value), row(0x2000, 1), row(0x3000, 1)], Arc::default())
    }

    fn start(&self, how: How) -> Result<Box<dyn Recording>> {
        let hz = how.hz;
        if hz > 1000 {
            return Err(Error::Invalid { what: "hz", value: hz.to_string() });
        }
        // Leaked by nobody: every profile is a static.
        let fake: &'static Fake = if self.running.fetch_add(1, SeqCst) < 1000 { &STARTED } else { &SUM };
        Ok(Box::new(Window(fake)))
    }

    fn is_started(&self) -> bool {
        self.started
    }

    fn rate(&self) -> Option<String> {
        Some("1 in <10>".to_owned())
    }
}

struct Window(&'static Fake);

impl Recording for Window {
    fn finish(self: Box<Self>) -> Snapshot {
        self.0.finished.fetch_add(1, SeqCst);
        self.0.snapshot("test/started")
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

static STARTED: Fake = Fake::new(true);
static SUM: Fake = Fake::new(false);
static PANICS: Fake = Fake::new(false);
static SLOW: Fake = Fake::new(false);
static STARTED_PROFILE: Profile = Profile::predefined("test/started", "Windows", &STARTED);
static SUM_PROFILE: Profile = Profile::predefined("test/sum", "Sums", &SUM);
static PANICS_PROFILE: Profile = Profile::predefined("test/panics", "None", &PANICS);
static SLOW_PROFILE: Profile = Profile::predefined("test/slow", "In time", &SLOW);
inventory::submit! { Entry::Profile(&STARTED_PROFILE) }
inventory::submit! { Entry::Profile(&SUM_PROFILE) }
inventory::submit! { Entry::Profile(&PANICS_PROFILE) }
inventory::submit! { Entry::Profile(&SLOW_PROFILE) }

fn serve(limits: Limits) -> Server {
    start(Handler::new().rules, "127.0.0.1:0".resolve().unwrap(), limits).unwrap()
}

fn connect(addr: &Addr) -> TcpStream {
    let stream = TcpStream::connect(addr.socket_addr().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

fn get(server: &Server, page: &str) -> String {
    try_get(server, page).unwrap()
}

fn try_get(server: &Server, page: &str) -> std::io::Result<String> {
    let mut stream = connect(server.local_addr());
    let request = format!("GET /debug/pprof/{page} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_sum_is_told_by_its_difference() {
    let server = serve(LIMITS);
    let answer = get(&server, "test/sum?seconds=0.1");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\"test/sum-delta\""), "{answer}");
    let answer = get(&server, "test/sum?seconds=0.1&format=text");
    assert!(answer.contains("test/sum profile: total 1\n"), "{answer}");
    // Capped, the sum stays.
    let answer = get(&server, "test/sum?format=text&rows=2");
    assert_eq!(answer.matches('@').count(), 2, "{answer}");
    assert!(get(&server, "").contains("1 in &lt;10&gt;"), "the index shows the rate in force");
}

#[test]
fn a_window_is_started_and_ends_with_whoever_asked() {
    let server = serve(LIMITS);
    let running = || STARTED.running.load(SeqCst);
    let answer = get(&server, "test/started?seconds=0.1&hz=7");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"test/started\""), "{answer}");
    assert_eq!((running(), STARTED.finished.load(SeqCst)), (0, 1));
    let answer = get(&server, "test/started?seconds=0.1&hz=9999");
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("invalid value for hz: \"9999\""),
        "{answer}"
    );

    for end in ["hang up", "hang up behind a second request", "stop"] {
        let mut stream = connect(server.local_addr());
        let one = "GET /debug/pprof/test/started?seconds=30 HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(one.repeat(1 + usize::from(end.contains("second"))).as_bytes()).unwrap();
        let begin = Instant::now();
        while running() == 0 {
            assert!(begin.elapsed() < Duration::from_secs(5), "{end}");
            std::thread::yield_now();
        }
        if end == "stop" {
            break;
        }
        drop(stream);
        let begin = Instant::now();
        while running() != 0 {
            assert!(begin.elapsed() < Duration::from_millis(500), "{end}");
            std::thread::yield_now();
        }
    }
    drop(server);
    assert_eq!((running(), STARTED.finished.load(SeqCst)), (0, 1), "none was finished for nobody");
}

/// Before anything is started, and before the time has passed.
#[test]
#[cfg(not(feature = "flamegraph"))]
fn an_image_is_refused_at_once_by_a_build_without_it() {
    let server = serve(LIMITS);
    let begin = Instant::now();
    for page in ["test/sum?format=svg", "test/sum?format=svg&seconds=60", "profile?format=svg&seconds=60"] {
        let answer = get(&server, page);
        assert!(
            answer.starts_with("HTTP/1.1 501 ") && answer.contains("no `flamegraph`"),
            "{page}: {answer}"
        );
    }
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_panic_is_an_answer() {
    let server = serve(LIMITS);
    for _ in 0..3 {
        let answer = get(&server, "test/panics");
        assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("it panicked"), "{answer}");
    }
    assert!(get(&server, "test/sum").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_slow_answer_holds_up_nobody() {
    let server = serve(LIMITS);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| get(&server, "test/slow"));
        std::thread::sleep(Duration::from_millis(100));
        let begin = Instant::now();
        assert!(get(&server, "").starts_with("HTTP/1.1 200 "));
        assert!(begin.elapsed() < Duration::from_millis(700), "{:?}", begin.elapsed());
        assert!(slow.join().unwrap().starts_with("HTTP/1.1 200 "));
    });
}

/// Short enough to be waited for; each test shortens one, and the others are longer than it waits.
const SHORT: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(5);

/// What comes until the server hangs up, which it has to do by itself.
#[track_caller]
fn until_it_hangs_up(mut stream: &TcpStream) -> String {
    let begin = Instant::now();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = Vec::new();
    if let Err(error) = stream.read_to_end(&mut text) {
        assert!(!is_timeout(&error), "the server waits for this client");
    }
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    String::from_utf8_lossy(&text).into_owned()
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// Sends `head`, then a byte from time to time for as long as anybody takes them.
fn drip(stream: &TcpStream, head: &[u8]) -> std::thread::JoinHandle<()> {
    let mut stream = stream.try_clone().unwrap();
    stream.write_all(head).unwrap();
    std::thread::spawn(move || {
        let begin = Instant::now();
        while stream.write_all(b"0").is_ok() && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
        }
    })
}

#[test]
fn slow_headers_are_not_waited_for() {
    let server = serve(Limits { arrival: SHORT, ..LIMITS });
    let client = connect(server.local_addr());
    let dripping = drip(&client, b"GET / HTTP/1.1\r\nX: ");
    until_it_hangs_up(&client);
    dripping.join().unwrap();
    // Who has been answered, and asks for nothing more.
    let mut client = connect(server.local_addr());
    client.write_all(b"GET /debug/pprof/test/sum HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(until_it_hangs_up(&client).starts_with("HTTP/1.1 200 "));
    assert!(get(&server, "test/sum").starts_with("HTTP/1.1 200 "));
}

#[test]
fn slow_bodies_are_not_waited_for() {
    let server = serve(Limits { body: SHORT, ..LIMITS });
    let head = b"POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n0x";
    // Nothing more of it, and a little of it all the time.
    let mut client = connect(server.local_addr());
    client.write_all(head).unwrap();
    let answer = until_it_hangs_up(&client);
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("did not arrive in time"), "{answer}");
    let client = connect(server.local_addr());
    let dripping = drip(&client, head);
    assert!(until_it_hangs_up(&client).starts_with("HTTP/1.1 408 "));
    dripping.join().unwrap();
    assert!(get(&server, "test/sum").starts_with("HTTP/1.1 200 "));
}

/// Asks for much and reads nothing: what the kernel holds is all that it gets, and its place is another's.
#[test]
fn who_does_not_read_is_not_waited_for() {
    let server = serve(Limits { stall: SHORT, connections: 1, ..LIMITS });
    let mut deaf = connect(server.local_addr());
    deaf.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let one = b"GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let begin = Instant::now();
    // Until both sides are full, so that the server is at its answer and cannot go on with it.
    let full = loop {
        assert!(begin.elapsed() < 6 * PATIENCE, "the kernel holds it all");
        if let Err(error) = deaf.write_all(one) {
            break error;
        }
    };
    assert!(is_timeout(&full) || begin.elapsed() >= SHORT, "{full}");
    let begin = Instant::now();
    // For others there is none as long as it has the only place.
    let mut answer = String::new();
    while !answer.starts_with("HTTP/1.1 200 ") {
        assert!(begin.elapsed() < PATIENCE, "it waits for who does not read: {answer}");
        std::thread::sleep(Duration::from_millis(20));
        // Who is turned away may be cut off at that.
        answer = try_get(&server, "test/sum").unwrap_or_default();
    }
    let error = loop {
        match deaf.write_all(one) {
            Err(error) if !is_timeout(&error) => break error,
            _ => assert!(begin.elapsed() < 2 * PATIENCE, "its connection is open"),
        }
    };
    assert!(
        matches!(error.kind(), std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset),
        "{error}"
    );
}

/// Nothing at all, from the beginning and after an answer.
#[test]
fn silence_is_not_waited_for() {
    let server = serve(Limits { stall: SHORT, ..LIMITS });
    assert_eq!(until_it_hangs_up(&connect(server.local_addr())), "");
    let mut client = connect(server.local_addr());
    client.write_all(b"GET /debug/pprof/test/sum HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(until_it_hangs_up(&client).starts_with("HTTP/1.1 200 "));
    // A window is no silence: the server is at work, and the client has all the time.
    let answer = get(&server, "test/sum?seconds=1.5&format=text");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
