//! What Go answers, row by row, asked of us: Go's own table of tests, and what was seen of a server of Go's. Wherever we
//! answer otherwise it is on a list, with the reason; what is on the list and is no difference is a mistake, too.
#![allow(missing_docs)]
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use profiled::sync::Mutex;
use profiled_test_http::{Answer, ask, connect, get, head};
use profiled_test_reader::Profile;

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

profiled::profile! { static CONNS = "example.com/conns"; }
profiled::profile! { static ODD = "of/symbol"; }

static SERVER: LazyLock<SocketAddr> = LazyLock::new(|| {
    let server = profiled::http::serve("127.0.0.1:0").unwrap();
    let addr = server.local_addr().socket_addr().unwrap();
    server.detach();
    addr
});

/// An answer in a line: what it is by its headers, which have to be Go's to the letter, and of an error its text.
fn told(answer: &Answer) -> String {
    let Answer { status, .. } = answer;
    let header = |name| answer.header(name);
    if *status == 307 {
        return format!("307 {}", header("location"));
    }
    let nosniff = if header("x-content-type-options") == "nosniff" { "" } else { " that may be sniffed" };
    let encoded = if header("content-encoding").is_empty() { "" } else { " encoded" };
    let kind = match (header("content-type"), header("content-disposition"), header("x-go-pprof")) {
        ("text/html; charset=utf-8", "", "") => "html".to_owned(),
        ("text/plain; charset=utf-8", "", "") => "text".to_owned(),
        ("text/plain; charset=utf-8", "", "1") => {
            return format!("{status}{nosniff} {}", answer.text().trim_end());
        }
        ("application/octet-stream", file, "") => file.replace("attachment; filename=", ""),
        other => format!("{other:?}"),
    };
    format!("{status} {kind}{nosniff}{encoded}")
}

/// Go's answers. Without a method it is GET; paths are below `/debug/pprof/`.
const GO: &[(&str, &str)] = &[
    // Its own tests' table.
    ("%3Cscript%3Escripty%3Cscript%3E", "404 Unknown profile"),
    ("heap", "200 \"heap\""),
    ("heap?debug=1", "200 text"),
    ("cmdline", "200 text"),
    ("profile?seconds=1", "200 \"profile\""),
    ("symbol", "200 text"),
    ("trace", "200 \"trace\""),
    ("mutex", "200 \"mutex\""),
    ("block?seconds=1", "200 \"block-delta\""),
    ("goroutine?seconds=1", "200 \"goroutine-delta\""),
    ("", "200 html"),
    // Methods.
    ("GET /debug/pprof", "307 /debug/pprof/"),
    ("POST heap", "405 Method Not Allowed"),
    ("PUT heap", "405 Method Not Allowed"),
    ("DELETE ", "405 Method Not Allowed"),
    ("OPTIONS cmdline", "405 Method Not Allowed"),
    ("POST profile?seconds=1", "405 Method Not Allowed"),
    ("PUT symbol", "405 Method Not Allowed"),
    ("POST symbol", "405 Method Not Allowed"),
    ("HEAD heap", "200 \"heap\""),
    ("HEAD cmdline", "200 text"),
    ("HEAD profile?seconds=2", "200 \"profile\", after 2 s"),
    ("HEAD trace?seconds=2", "200 \"trace\", after 2 s"),
    ("POST trace?seconds=1", "405 Method Not Allowed"),
    // Names.
    ("Heap", "404 Unknown profile"),
    ("heap/", "404 Unknown profile"),
    ("cpu?seconds=1", "404 Unknown profile"),
    ("example.com/conns", "200 \"example.com/conns\""),
    ("example.com/conns?debug=1", "200 text"),
    ("allocs", "200 \"allocs\""),
    ("threadcreate", "200 \"threadcreate\""),
    ("threadcreate?debug=2", "200 text"),
    ("goroutine?debug=2", "200 text"),
    ("block?debug=3", "200 text"),
    ("heap?debug=0", "200 \"heap\""),
    ("heap?debug=1&debug=0", "200 text"),
    // Values.
    ("heap?debug=abc", "200 \"heap\""),
    ("heap?debug=-1", "200 text"),
    ("goroutine?debug=-1", "200 text"),
    ("heap?gc=1", "200 \"heap\""),
    ("heap?gc=0", "200 \"heap\""),
    ("heap?gc=abc", "200 \"heap\""),
    ("allocs?gc=1", "200 \"allocs\""),
    ("heap?gc=1&seconds=1", "200 \"heap-delta\""),
    // Deltas.
    ("heap?seconds=1", "200 \"heap-delta\""),
    ("allocs?seconds=1", "200 \"allocs-delta\""),
    ("mutex?seconds=1&debug=0", "200 \"mutex-delta\""),
    ("threadcreate?seconds=1", "200 \"threadcreate-delta\""),
    ("mutex?seconds=1&seconds=abc", "200 \"mutex-delta\""),
    ("heap?seconds=abc", "400 invalid value for \"seconds\" - must be a positive integer"),
    ("heap?seconds=0", "400 invalid value for \"seconds\" - must be a positive integer"),
    ("heap?seconds=-1", "400 invalid value for \"seconds\" - must be a positive integer"),
    ("heap?seconds=1.5", "400 invalid value for \"seconds\" - must be a positive integer"),
    ("example.com/conns?seconds=1", "400 \"seconds\" parameter is not supported for this profile type"),
    ("heap?seconds=1&debug=1", "400 seconds and debug params are incompatible"),
    ("heap?seconds=abc&debug=1", "400 invalid value for \"seconds\" - must be a positive integer"),
    (
        "example.com/conns?seconds=1&debug=1",
        "400 \"seconds\" parameter is not supported for this profile type",
    ),
    // The CPU profile.
    ("profile?seconds=1&debug=1", "200 \"profile\""),
    ("profile?seconds=abc", "200 \"profile\", after 30 s"),
    ("profile?seconds=0", "200 \"profile\", after 30 s"),
    ("profile?seconds=-1", "200 \"profile\", after 30 s"),
    ("profile?seconds=0.5", "200 \"profile\", after 30 s"),
    ("profile?seconds=99999999999", "200 \"profile\", at once"),
    ("profile?seconds=1 beside another", "500 Could not enable CPU profiling: cpu profiling already in use"),
    // The trace.
    ("trace?seconds=1", "200 \"trace\""),
    ("trace?seconds=0.2", "200 \"trace\""),
    ("trace?seconds=0.2&seconds=abc", "200 \"trace\""),
    ("trace?seconds=0.2&debug=1", "200 \"trace\""),
    ("trace?seconds=abc", "200 \"trace\", after 1 s"),
    ("trace?seconds=0", "200 \"trace\", after 1 s"),
    ("trace?seconds=-1", "200 \"trace\", after 1 s"),
    ("trace?seconds=NaN", "200 \"trace\", at once"),
    ("trace?seconds=1 beside another", "500 Could not enable tracing: execution tracer already enabled"),
];

/// Why an answer of ours is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Go's answer is a defect.
    Defect,
    /// A bad value is an error that names it, never a default.
    Named,
    /// Fractions of seconds work; there is a most.
    Seconds,
    /// A state is told as it is at the end of the time, of every profile: Parca leaks the parameter to all.
    State,
    /// Any number of profiles, and of traces, at once.
    Shared,
    /// Where Go has no such page: what CPU sampling has seen so far, or sees in that time.
    More,
}

/// The frozen list: what we answer instead.
const DIFFERENCES: &[(&str, Why, &str)] = &[
    ("goroutine?seconds=1", Why::State, "200 \"goroutine\""),
    ("threadcreate?seconds=1", Why::State, "200 \"threadcreate\""),
    ("example.com/conns?seconds=1", Why::State, "200 \"example.com/conns\""),
    ("example.com/conns?seconds=1&debug=1", Why::State, "400 seconds and debug params are incompatible"),
    ("POST symbol", Why::Defect, "200 text"),
    ("HEAD profile?seconds=2", Why::Defect, "200 \"profile\""),
    ("cpu?seconds=1", Why::More, "200 \"cpu\""),
    ("heap?debug=abc", Why::Named, "400 invalid value for \"debug\": \"abc\" - must be 0, 1 or 2"),
    ("heap?debug=-1", Why::Named, "400 invalid value for \"debug\": \"-1\" - must be 0, 1 or 2"),
    ("goroutine?debug=-1", Why::Defect, "400 invalid value for \"debug\": \"-1\" - must be 0, 1 or 2"),
    ("heap?gc=abc", Why::Named, "400 invalid value for \"gc\": \"abc\" - must be a number"),
    (
        "heap?seconds=abc",
        Why::Named,
        "400 invalid value for \"seconds\": \"abc\" - must be a positive number of at most 300",
    ),
    (
        "heap?seconds=0",
        Why::Named,
        "400 invalid value for \"seconds\": \"0\" - must be a positive number of at most 300",
    ),
    (
        "heap?seconds=-1",
        Why::Named,
        "400 invalid value for \"seconds\": \"-1\" - must be a positive number of at most 300",
    ),
    ("heap?seconds=1.5", Why::Seconds, "200 \"heap-delta\""),
    (
        "heap?seconds=abc&debug=1",
        Why::Named,
        "400 invalid value for \"seconds\": \"abc\" - must be a positive number of at most 300",
    ),
    (
        "profile?seconds=abc",
        Why::Defect,
        "400 invalid value for \"seconds\": \"abc\" - must be a positive number of at most 300",
    ),
    (
        "profile?seconds=0",
        Why::Defect,
        "400 invalid value for \"seconds\": \"0\" - must be a positive number of at most 300",
    ),
    (
        "profile?seconds=-1",
        Why::Defect,
        "400 invalid value for \"seconds\": \"-1\" - must be a positive number of at most 300",
    ),
    ("profile?seconds=0.5", Why::Defect, "200 \"profile\""),
    (
        "profile?seconds=99999999999",
        Why::Seconds,
        "400 invalid value for \"seconds\": \"99999999999\" - must be a positive number of at most 300",
    ),
    ("profile?seconds=1 beside another", Why::Shared, "200 \"profile\""),
    ("trace?seconds=1 beside another", Why::Shared, "200 \"trace\""),
    ("HEAD trace?seconds=2", Why::Defect, "200 \"trace\""),
    (
        "trace?seconds=abc",
        Why::Named,
        "400 invalid value for \"seconds\": \"abc\" - must be a positive number of at most 300",
    ),
    (
        "trace?seconds=0",
        Why::Named,
        "400 invalid value for \"seconds\": \"0\" - must be a positive number of at most 300",
    ),
    (
        "trace?seconds=-1",
        Why::Named,
        "400 invalid value for \"seconds\": \"-1\" - must be a positive number of at most 300",
    ),
    (
        "trace?seconds=NaN",
        Why::Named,
        "400 invalid value for \"seconds\": \"NaN\" - must be a positive number of at most 300",
    ),
];

/// Sends one of the requests as they stand in the table.
fn answer(request: &str) -> String {
    let (method, page) = match request.split_once(' ') {
        Some((method, page)) if method.bytes().all(|byte| byte.is_ascii_uppercase()) => (method, page),
        _ => ("GET", request),
    };
    let (page, beside) = match page.strip_suffix(" beside another") {
        Some(page) => (page, true),
        None => (page, false),
    };
    let path = if page.starts_with('/') { page.to_owned() } else { format!("/debug/pprof/{page}") };
    thread::scope(|scope| {
        if beside {
            scope.spawn(|| get(*SERVER, page));
            thread::sleep(Duration::from_millis(200));
        }
        told(&ask(*SERVER, method, &path, &[], ""))
    })
}

#[test]
fn whatever_go_answers_and_what_we_answer_instead() {
    let answers: Vec<_> = thread::scope(|scope| {
        let asked: Vec<_> = GO.iter().map(|(request, _)| scope.spawn(|| answer(request))).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    let mut allowed: BTreeMap<_, _> =
        DIFFERENCES.iter().map(|(request, why, ours)| (*request, (*why, *ours))).collect();
    assert_eq!(allowed.len(), DIFFERENCES.len());
    let mut wrong = Vec::new();
    for ((request, go), ours) in GO.iter().zip(answers) {
        match allowed.remove(request) {
            None if ours == *go => {}
            None => wrong.push(format!("{request:?}: {ours}; Go's: {go}")),
            Some((why, listed)) if listed == *go => {
                wrong.push(format!("{request:?}: no difference, {why:?}"))
            }
            Some((_, listed)) if listed == ours => {}
            Some((why, listed)) => {
                wrong.push(format!("{request:?}: {ours}; listed, {why:?}: {listed}; Go's: {go}"))
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(allowed.is_empty(), "not in Go's table: {allowed:?}");
}

/// As in Go: a trace flows while it is recorded, so that its length is not known before; a second, if nothing is said.
#[test]
fn a_trace_comes_as_it_is_recorded() {
    for (page, least) in [("trace?seconds=0.2", 0.2), ("trace", 1.0)] {
        let begin = Instant::now();
        let mut stream = connect(*SERVER);
        write!(stream, "GET /debug/pprof/{page} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let head = head(&mut stream).unwrap();
        assert_eq!((head.header("transfer-encoding"), head.header("content-length")), ("chunked", ""));
        let mut body = Vec::new();
        while !body.ends_with(b"\r\n0\r\n\r\n") {
            let mut some = [0; 4096];
            let bytes = stream.read(&mut some).unwrap();
            assert!(bytes > 0, "it ends before its end");
            body.extend_from_slice(&some[..bytes]);
        }
        let took = begin.elapsed().as_secs_f64();
        assert!((least..10.0).contains(&took), "{page}: {took}");
        // Behind the length of the first chunk is what Go's format begins with.
        let first = &body[body.windows(2).position(|two| two == b"\r\n").unwrap() + 2..];
        assert!(first.starts_with(b"go 1."), "{:?}", String::from_utf8_lossy(&first[..16]));
    }
}

/// The time that it takes is what was asked for, and nothing in the case of HEAD.
#[test]
fn a_window_takes_its_time_and_head_none() {
    for (request, least, most) in [
        ("GET profile?seconds=0.5", 0.5, 10.0),
        ("GET heap?seconds=0.5", 0.5, 10.0),
        ("GET goroutine?seconds=0.5", 0.5, 10.0),
        ("HEAD profile?seconds=100", 0.0, 10.0),
        ("HEAD trace?seconds=100", 0.0, 10.0),
        ("GET profile?seconds=301", 0.0, 10.0),
    ] {
        let begin = Instant::now();
        answer(request);
        let took = begin.elapsed().as_secs_f64();
        assert!((least..most).contains(&took), "{request}: {took}");
    }
}

#[test]
fn a_method_that_is_refused_comes_with_those_that_are_not() {
    let answer = ask(*SERVER, "POST", "/debug/pprof/heap", &[], "");
    assert_eq!((answer.header("allow"), answer.text().as_str()), ("GET, HEAD", "Method Not Allowed\n"));
}

#[test]
fn the_index_has_what_gos_has() {
    let page = get(*SERVER, "").text();
    for has in [
        "Types of profiles available:",
        "<th class=\"n\">Count</th><th>Profile</th>",
        "<a href=\"goroutine?debug=2\">full goroutine stack dump</a>",
    ] {
        assert!(page.contains(has), "{has}");
    }
    for profile in ["allocs", "block", "goroutine", "heap", "mutex", "threadcreate"] {
        assert!(page.contains(&format!("<a href=\"{profile}?debug=1\">{profile}</a>")), "{profile}");
        let help = profiled::lookup(profile).unwrap().help();
        assert!(help.len() > 10, "every profile has a description: {profile}");
    }
    for other in ["cmdline", "profile", "symbol"] {
        assert!(page.contains(&format!("<a href=\"{other}")), "{other}");
        // No count that means nothing, and no link that starts 30 s of work unasked.
        assert!(!page.contains(&format!("href=\"{other}?debug=1\"")), "{other}");
    }
}

#[test]
fn symbol_answers_as_gos_does() {
    let main = symbol_answers_as_gos_does as fn() as usize;
    let name = "go_table::symbol_answers_as_gos_does";
    let known = format!("{main:#x} {name}\n");
    for (addresses, rest) in [
        (String::new(), String::new()),
        (format!("{main:#x}"), known.clone()),
        (format!("{main}"), known.clone()),
        (format!("0x0+junk+{main:#x}+1"), known.clone()),
        // Not decoded.
        (format!("{main:#x}%2B{main:#x}"), String::new()),
        (format!("{main:#x}+{main:#x}"), known.repeat(2)),
        // Go reads a word of 4096 bytes at most.
        (
            format!("{main:#x}+{}+{main:#x}", "1".repeat(5000)),
            format!("{known}reading request: bufio: buffer full\n"),
        ),
        (format!("{}+{main:#x}", "1".repeat(4095)), known.clone()),
    ] {
        let expected = format!("num_symbols: 1\n{rest}");
        for answer in [
            get(*SERVER, &format!("symbol?{addresses}")),
            ask(*SERVER, "POST", "/debug/pprof/symbol", &[], &addresses),
        ] {
            // An older way of mangling has a hash at its end.
            assert_eq!((answer.status, answer.text()), (200, expected.clone()), "{addresses:.60}");
        }
    }
}

/// pprof asks beside the profile: of `codesearch/shard` that is `codesearch/symbol`, which Go does not have.
#[test]
fn symbol_is_beside_every_profile() {
    for path in ["example.com/symbol", "a/b/symbol", "example.com%2Fsymbol"] {
        let path = format!("/debug/pprof/{path}");
        assert_eq!(ask(*SERVER, "POST", &path, &[], "0x0").text(), "num_symbols: 1\n", "{path}");
    }
    assert_eq!(get(*SERVER, "example.com/Symbol").status, 404);
    assert_eq!(get(*SERVER, "example.comsymbol").status, 404);
    // A profile of that name is one.
    let odd = get(*SERVER, "of/symbol");
    assert_eq!(told(&odd), "200 \"of/symbol\"");
    assert!(ODD.count() == 0);
}

#[inline(never)]
fn hogs_before(lock: &Mutex<u32>) {
    hold(lock);
}

#[inline(never)]
fn hogs_meanwhile(lock: &Mutex<u32>) {
    hold(lock);
}

/// Holds it while another thread waits for it, for 50 ms.
#[inline(always)]
fn hold(lock: &Mutex<u32>) {
    thread::scope(|scope| {
        let held = lock.lock().unwrap();
        let waiter = scope.spawn(|| *lock.lock().unwrap() += 1);
        thread::sleep(Duration::from_millis(50));
        drop(held);
        waiter.join().unwrap();
    });
    black_box(lock);
}

/// Go's test of deltas: what was before is not in it, and in the whole both are. And the header of one.
#[test]
fn a_delta_has_what_is_new_and_the_whole_has_both() {
    profiled::mutex::set_fraction(1);
    let lock = Mutex::new(0);
    hogs_before(&lock);
    let mutex = |query: &str| Profile::read(&get(*SERVER, &format!("mutex{query}")).body);
    let delays = |profile: &Profile| {
        (profile.total_of("delay", &["hogs_before"]), profile.total_of("delay", &["hogs_meanwhile"]))
    };
    let delta = thread::scope(|scope| {
        let delta = scope.spawn(|| mutex("?seconds=2"));
        // Its first snapshot is taken by then.
        thread::sleep(Duration::from_millis(1000));
        hogs_meanwhile(&lock);
        delta.join().unwrap()
    });
    let end = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64;
    let (before, meanwhile) = delays(&delta);
    assert!(before == 0 && meanwhile >= 40_000_000, "{before}, {meanwhile}");
    let (before, meanwhile) = delays(&mutex(""));
    assert!(before >= 40_000_000 && meanwhile >= 40_000_000, "{before}, {meanwhile}");
    // As Go's: the time is that of the end. (Go's default type and comments get lost: a defect.)
    assert!((1_900_000_000..4_000_000_000).contains(&delta.duration_nanos), "{}", delta.duration_nanos);
    assert!((end - delta.time_nanos).abs() < 1_000_000_000, "{} {}", end, delta.time_nanos);
    assert!(delta.comments.iter().any(|comment| comment.contains("sampled")), "{:?}", delta.comments);
    let allocs = Profile::read(&get(*SERVER, "allocs?seconds=0.1").body);
    assert_eq!(allocs.default_type, "alloc_space");
    // Nothing new: valid, with its types, and empty.
    let nothing = mutex("?seconds=0.1");
    assert_eq!((nothing.types[1].0.as_str(), delays(&nothing)), ("delay", (0, 0)));
}

#[test]
fn no_profile_is_encoded_once_more() {
    let answer =
        ask(*SERVER, "GET", "/debug/pprof/heap", &[("Accept-Encoding", "gzip, deflate, br, zstd")], "");
    assert_eq!(told(&answer), "200 \"heap\"");
    assert_eq!(answer.body[..2], [0x1f, 0x8b], "gzip is what it is, not how it is sent");
}

#[test]
fn arguments_are_joined_by_nul() {
    let arguments: Vec<_> = std::env::args().collect();
    assert_eq!(get(*SERVER, "cmdline").text(), arguments.join("\0"));
    drop(CONNS.track());
}
