//! `/debug/pprof/trace` and `PROFILED_TRACE`.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use profiled::trace;
use profiled_test_trace::{Trace, count, perfetto};

/// Sessions are the process's: one test at a time.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Does something until it is told to stop.
fn while_busy<R>(f: impl FnOnce() -> R) -> R {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                let _region = trace::region("served");
                thread::sleep(Duration::from_millis(1));
            }
        });
        let result = f();
        stop.store(true, Relaxed);
        result
    })
}

fn ask(server: &profiled::http::Server, query: &str) -> TcpStream {
    let address = server.local_addr().to_string();
    let mut stream = TcpStream::connect(&address).unwrap();
    write!(stream, "GET /debug/pprof/trace{query} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .unwrap();
    stream
}

/// The headers, and the body put together from its chunks.
fn answer(mut stream: TcpStream) -> (String, Vec<u8>) {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let headers = String::from_utf8_lossy(&all[..end]).to_lowercase();
    let mut rest = &all[end + 4..];
    if !headers.contains("transfer-encoding: chunked") {
        return (headers, rest.to_vec());
    }
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n").expect("the last chunk comes");
        let size = usize::from_str_radix(str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return (headers, body);
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 4 + size..];
    }
}

#[test]
fn a_trace_is_sent_while_it_is_recorded() {
    let _alone = alone();
    let server = profiled::http::serve("127.0.0.1:0").unwrap();
    while_busy(|| {
        let begin = Instant::now();
        let stream = ask(&server, "?seconds=60");
        let mut first = [0; 4096];
        let mut early = stream.try_clone().unwrap();
        // Headers come at once, and a generation after a second.
        let mut got = early.read(&mut first).unwrap();
        let headers = String::from_utf8_lossy(&first[..got]).to_lowercase();
        assert!(headers.starts_with("http/1.1 200"), "{headers}");
        assert!(
            headers.contains("filename=\"trace\"") && headers.contains("application/octet-stream"),
            "{headers}"
        );
        while got < 1000 {
            got += early.read(&mut first[got..]).unwrap();
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
        drop((early, stream));
    });
    // Nobody is there any more: it ends at once, and not after the time that is left.
    let begin = Instant::now();
    while trace::is_enabled() {
        assert!(begin.elapsed() < Duration::from_secs(20), "it goes on");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_sent_is_a_trace() {
    let _alone = alone();
    let server = profiled::http::serve("127.0.0.1:0").unwrap();
    let (headers, body) = while_busy(|| answer(ask(&server, "?seconds=0.3")));
    assert!(headers.starts_with("http/1.1 200"), "{headers}");
    let text = Trace::new(&body).parsed();
    assert!(count(&text, &["RegionBegin", "\"served\""]) > 10, "{text}");
    let (headers, body) = while_busy(|| answer(ask(&server, "?seconds=0.3&format=perfetto")));
    assert!(headers.contains("filename=\"trace.pftrace\""), "{headers}");
    let [served] = perfetto::query_good(&body, ["select count(*) from slice where name = 'served'"]);
    assert!(perfetto::number(&served) > 10);
    // Without a word of it, a second.
    let begin = Instant::now();
    let (_, body) = answer(ask(&server, ""));
    assert!(begin.elapsed() >= Duration::from_secs(1));
    Trace::new(&body).parsed();
    for query in ["?seconds=x", "?seconds=0", "?seconds=301", "?format=chrome"] {
        let (headers, body) = answer(ask(&server, query));
        assert!(headers.starts_with("http/1.1 400"), "{query}: {headers}");
        assert!(headers.contains("x-go-pprof"), "{headers}");
        assert!(!body.is_empty());
    }
    assert!(!trace::is_enabled());
}

#[test]
fn the_environment_asks_for_a_trace() {
    let path = env::temp_dir().join(format!("profiled-environment-{}.trace", std::process::id()));
    if env::var_os("PROFILED_TRACE").is_some() {
        let guard = profiled::init();
        let region = trace::region("of the environment");
        drop((region, guard));
        return;
    }
    let _alone = alone();
    let status = Command::new(env::current_exe().unwrap())
        .args(["the_environment_asks_for_a_trace", "--exact"])
        .env("PROFILED_TRACE", &path)
        .status()
        .unwrap();
    assert!(status.success());
    let text = Trace::new(&fs::read(&path).unwrap()).parsed();
    assert_eq!(count(&text, &["RegionBegin", "\"of the environment\""]), 1, "{text}");
    fs::remove_file(&path).unwrap();
}
