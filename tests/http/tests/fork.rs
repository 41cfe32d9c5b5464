//! A forked child has no server: it can drop the parent's without harm, and start its own.
#![allow(missing_docs)]
#![cfg(unix)]
#![expect(unsafe_code, reason = "forks")]
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use profiled::http::{Handler, Server, serve};
use profiled_test_http::get;

profiled::profile! { static CONNS = "conns"; }

fn addr(server: &Server) -> SocketAddr {
    server.local_addr().socket_addr().unwrap()
}

/// The status of a page that `handler` makes, without a runtime.
fn handled(handler: &Handler) -> u16 {
    let request = http::Request::get("http://localhost/debug/pprof/conns");
    let mut response =
        std::pin::pin!(handler.handle(request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap()));
    loop {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        if let std::task::Poll::Ready(response) = response.as_mut().poll(&mut cx) {
            return response.status().as_u16();
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_child_and_its_parent() {
    let path = std::env::temp_dir().join(format!("profiled-fork-{}.sock", std::process::id()));
    let (server, file) = (serve("127.0.0.1:0").unwrap(), serve(path.as_path()).unwrap());
    let parent = addr(&server);
    assert_eq!(handled(&Handler::new()), 200);
    // SAFETY: the child ends in `_exit`, and runs nothing of the parent's but what is tried here.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let begin = Instant::now();
        drop((server, file));
        let quick = begin.elapsed() < Duration::from_millis(500);
        let own = serve("127.0.0.1:0").is_ok_and(|own| get(addr(&own), "conns").status == 200);
        let code = i32::from(!quick) | i32::from(!own) << 1 | i32::from(handled(&Handler::new()) != 200) << 2;
        // SAFETY: as above.
        unsafe { libc::_exit(code) }
    }
    let begin = Instant::now();
    let mut status = 0;
    // SAFETY: `status` is there to be written to.
    while unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == 0 {
        if begin.elapsed() > Duration::from_secs(20) {
            // SAFETY: it is our child, and has not been waited for.
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(status, 0, "the child's status");
    assert_eq!(get(parent, "conns").status, 200);
    assert!(path.exists(), "the child took the parent's socket away");
    drop((server, file));
    assert!(!path.exists());
}
