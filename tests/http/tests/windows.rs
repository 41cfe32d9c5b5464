//! Windows that nobody waits for any more are over. In a process of its own: the bound is the process's.
#![allow(missing_docs)]
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use profiled_test_http::{connect, get};

profiled::profile! { static CONNS = "conns"; }

fn windows(addr: SocketAddr, more: &str) -> Vec<TcpStream> {
    let request = "GET /debug/pprof/conns?seconds=30 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned() + more;
    let mut streams: Vec<_> = (0..64).map(|_| connect(addr)).collect();
    for stream in &mut streams {
        stream.write_all(request.as_bytes()).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    let full = get(addr, "conns");
    assert_eq!(full.status, 503);
    assert!(full.text().contains("64 collections"), "{}", full.text());
    assert_eq!(get(addr, "").status, 200, "the index is no collection");
    streams
}

#[track_caller]
fn assert_free_soon(addr: SocketAddr) {
    let begin = Instant::now();
    while get(addr, "conns").status != 200 {
        assert!(begin.elapsed() < Duration::from_secs(2), "the windows go on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn whoever_hangs_up_ends_what_was_begun() {
    let server = profiled::http::serve("127.0.0.1:0").unwrap();
    let addr = server.local_addr().socket_addr().unwrap();
    drop(windows(addr, ""));
    assert_free_soon(addr);
    // Also with a second request waiting behind the first, unread.
    drop(windows(addr, "GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_free_soon(addr);
    drop(windows(addr, &"GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3_000)));
    assert_free_soon(addr);

    // The same through a handler in somebody else's server.
    let handler = profiled::http::Handler::new();
    let ask = || {
        let request = http::Request::get("http://localhost/debug/pprof/conns?seconds=30");
        handler.handle(request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap())
    };
    let mut asked: Vec<_> = (0..64).map(|_| Box::pin(ask())).collect();
    for asked in &mut asked {
        assert!(pin!(asked).as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(get(addr, "conns").status, 503);
    drop(asked);
    assert_free_soon(addr);
}
