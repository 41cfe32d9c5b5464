//! Clients that mean harm, or have bad luck. After each of them the server still answers.
#![allow(missing_docs)]
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use profiled::http::serve;
use profiled_test_http::{ask, connect, get, raw, read};

profiled::profile! { static CONNS = "conns"; }

/// A server for one test; it is alive at the end.
fn against(attack: impl FnOnce(SocketAddr)) {
    let server = serve("127.0.0.1:0").unwrap();
    let addr = server.local_addr().socket_addr().unwrap();
    attack(addr);
    let begin = Instant::now();
    assert_eq!(get(addr, "conns").status, 200, "it does not answer any more");
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[test]
fn huge_headers() {
    against(|addr| {
        for request in [
            format!("GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(20_000)),
            format!("GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(10_000)),
            format!("GET /debug/pprof/{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(100_000)),
        ] {
            let status = raw(addr, request.as_bytes()).status;
            // 0: refused while it was still sending, and the answer lost to the reset.
            assert!(matches!(status, 0 | 414 | 431), "{status}");
        }
    });
}

#[test]
fn ten_thousand_parameters() {
    against(|addr| {
        let answer = get(addr, &format!("conns?{}debug=1", "a&".repeat(7_000)));
        assert_eq!(answer.status, 200);
        let status = get(addr, &format!("conns?{}", "a=1&".repeat(10_000))).status;
        assert!(matches!(status, 0 | 414 | 431), "{status}");
    });
}

#[test]
fn nonsense_on_the_wire() {
    against(|addr| {
        for request in [
            &b"\r\n\r\n\r\n"[..],
            b"\0\xff\xfe\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET /debug/pprof/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET /debug/pprof/ HTTP/1.1\r\nHost: \xff\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost:1\r\n\r\n",
            b"POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
            b"POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            let mut stream = connect(addr);
            stream.write_all(request).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            _ = stream.read_to_end(&mut answer);
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{request:?}: {answer}");
        }
    });
}

#[test]
fn a_body_without_end() {
    against(|addr| {
        let mut stream = connect(addr);
        stream
            .write_all(
                b"POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
            )
            .unwrap();
        let chunk = format!("1000\r\n{}\r\n", "0+".repeat(0x800));
        // Far more than the sockets' own buffers take while the server is busy elsewhere.
        let sent = (0..10_000).take_while(|_| stream.write_all(chunk.as_bytes()).is_ok()).count();
        assert!(sent < 10_000, "it reads all that it is sent");
    });
}

#[test]
fn requests_one_upon_another() {
    against(|addr| {
        let mut stream = connect(addr);
        let one = "GET /debug/pprof/conns?debug=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(one.repeat(100).as_bytes()).unwrap();
        for i in 0..100 {
            let answer = read(&mut stream).unwrap();
            assert_eq!(answer.status, 200, "{i}");
            assert!(answer.text().starts_with("conns profile: total 0"), "{i}");
        }
    });
}

#[test]
fn a_script_in_a_name() {
    against(|addr| {
        for path in ["<script>alert(1)</script>", "%3Cscript%3Ealert(1)%3C/script%3E", "conns?debug=<script>"]
        {
            let answer = ask(addr, "GET", &format!("/debug/pprof/{path}"), &[], "");
            assert!(matches!(answer.status, 400 | 404), "{path}");
            assert_ne!(answer.header("content-type"), "text/html; charset=utf-8");
        }
    });
}

/// A body is refused by its length, before it is read, whoever reads bodies and who does not.
#[test]
fn a_hundred_megabytes() {
    against(|addr| {
        let before = resident();
        for page in ["symbol", "rates", "conns", ""] {
            let mut stream = connect(addr);
            let length = 100 << 20;
            let head = format!(
                "POST /debug/pprof/{page} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            let chunk = vec![b'1'; 1 << 20];
            let sent = (0..100).take_while(|_| stream.write_all(&chunk).is_ok()).count();
            assert!(sent < 100, "{page}: it reads all that it is sent");
        }
        assert!(resident() < before + (64 << 20), "{} MB more", (resident() - before) >> 20);
    });
}

/// Bytes of memory that this process has.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10)
}

/// A thousand at a time, silent, halfway through a request, or gone without a word: those who are let in keep their
/// places, the others are told, and nobody costs much.
#[test]
fn a_thousand_connections() {
    against(|addr| {
        // Threads of the server's are there, and the pages have been made once.
        assert_eq!(get(addr, "").status, 200);
        let before = resident();
        let all: Vec<_> = (0..1000)
            .filter_map(|n| {
                // The listener's queue may be full for a moment.
                let mut stream = std::net::TcpStream::connect_timeout(&addr, Duration::from_secs(10)).ok()?;
                _ = match n % 4 {
                    0 => Ok(()),
                    1 => stream.write_all(b"GET /debug/pprof/conns HTTP/1.1\r\nHost: loc"),
                    2 => stream.write_all(
                        b"POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n0",
                    ),
                    _ => stream.write_all(b"GET /debug/pprof/conns HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                };
                Some(stream)
            })
            .collect();
        assert!(all.len() > 900, "{}", all.len());
        let full = || get(addr, "conns").status;
        let begin = Instant::now();
        while !matches!(full(), 0 | 503) {
            assert!(begin.elapsed() < Duration::from_secs(20), "there is a place for everybody");
        }
        let more = resident().saturating_sub(before);
        // What 256 connections may hold of headers and bodies, and the sockets of both sides.
        assert!(more < 64 << 20, "{} MB more", more >> 20);
        drop(all);
        let begin = Instant::now();
        while full() != 200 {
            assert!(begin.elapsed() < Duration::from_secs(20), "their places are not free again");
            std::thread::sleep(Duration::from_millis(20));
        }
    });
}

/// Values that are numbers, and none that anybody can wait for.
#[test]
fn no_number() {
    against(|addr| {
        let begin = Instant::now();
        for seconds in [
            "NaN", "-NaN", "nan", "-0", "0.0", "-0.0", "inf", "-inf", "1e-999", "0x10", "1_0", "%31%00",
            "\u{661}",
        ] {
            for page in ["conns", "profile", "heap", "goroutine", "delta_heap"] {
                let answer = get(addr, &format!("{page}?seconds={}", seconds.replace('\u{661}', "%D9%A1")));
                assert_eq!(answer.status, 400, "{page}?seconds={seconds}: {}", answer.text());
                assert!(answer.text().contains("\"seconds\""), "{}", answer.text());
            }
        }
        for query in
            ["age=NaN", "age=-1", "age=1e999", "stuck=inf", "rows=1e3", "rows=99999999999999999999", "hz=-0"]
        {
            let page = if query.starts_with("hz") {
                "profile"
            } else if query.starts_with("stuck") {
                "goroutine"
            } else {
                "heap"
            };
            assert_eq!(get(addr, &format!("{page}?{query}")).status, 400, "{page}?{query}");
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    });
}

/// A client that asks for the impossible is told at once.
#[test]
fn a_very_long_window() {
    against(|addr| {
        let begin = Instant::now();
        for seconds in ["1e308", "1e18446744073709551616", "18446744073709551616", "301"] {
            assert_eq!(get(addr, &format!("conns?seconds={seconds}")).status, 400);
            assert_eq!(get(addr, &format!("profile?seconds={seconds}")).status, 400);
        }
        assert!(begin.elapsed() < Duration::from_secs(2));
    });
}

/// A client that closes only its own side still gets a short answer.
#[test]
fn half_closed() {
    against(|addr| {
        for _ in 0..20 {
            let mut stream = connect(addr);
            stream.write_all(b"GET /debug/pprof/ HTTP/1.0\r\n\r\n").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read(&mut stream).unwrap().status, 200);
        }
    });
}

/// More connections than there are places: whoever comes too late is told so, and later finds one.
#[test]
fn more_connections_than_places() {
    against(|addr| {
        let idle: Vec<_> = (0..256).map(|_| connect(addr)).collect();
        let mut late = connect(addr);
        let mut text = String::new();
        _ = late.read_to_string(&mut text);
        assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("too many connections"), "{text:?}");
        drop(idle);
        std::thread::sleep(Duration::from_millis(300));
    });
}
