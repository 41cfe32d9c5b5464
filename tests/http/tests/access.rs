//! Who is let in. Each of these fails when its rule is taken away.
#![allow(missing_docs)]
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use profiled::http::{Handler, Server, serve};
use profiled_test_http::{Answer, ask, get, raw};

profiled::profile! { static CONNS = "conns"; }

fn addr(server: &Server) -> SocketAddr {
    server.local_addr().socket_addr().unwrap()
}

fn with_host(server: &Server, host: &str) -> Answer {
    raw(
        addr(server),
        format!("GET /debug/pprof/conns HTTP/1.1\r\n{host}Connection: close\r\n\r\n").as_bytes(),
    )
}

#[test]
fn only_loopback_unless_told() {
    for remote in ["0.0.0.0:0", "[::]:0"] {
        let error = serve(remote).unwrap_err();
        assert!(matches!(error, profiled::Error::Invalid { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("allow_remote") && text.contains(remote), "{text}");
    }
    assert!(serve((IpAddr::from(Ipv4Addr::UNSPECIFIED), 0)).is_err());
    let bound = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    assert!(serve(&bound).is_err(), "a listener of the user's is no way around");
    let server = Handler::new().allow_remote(true).serve(bound).unwrap();
    let port = addr(&server).port();
    assert_eq!(get(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), "").status, 200);
}

#[test]
fn a_host_has_to_be_known() {
    let server = serve("localhost:0").unwrap();
    assert_eq!(with_host(&server, "Host: localhost:1\r\n").status, 200);
    assert_eq!(with_host(&server, "Host: 192.0.2.1\r\n").status, 200);
    let refused = with_host(&server, "Host: rebound.example:6060\r\n");
    assert_eq!(refused.status, 421);
    assert!(refused.text().contains("\"rebound.example:6060\""), "{}", refused.text());
    assert_eq!(refused.header("x-go-pprof"), "1");
    assert_eq!(with_host(&server, "").status, 400);
    assert_eq!(with_host(&server, "Host: localhost\r\nHost: localhost\r\n").status, 400);
    let absolute = "GET http://rebound.example/debug/pprof/ HTTP/1.1\r\nHost: rebound.example\r\n\r\n";
    assert_eq!(raw(addr(&server), absolute.as_bytes()).status, 421);
    // Every page: a rule that one of them forgets is no rule.
    for page in ["", "conns", "cmdline", "symbol", "profile", "nope"] {
        let request = format!("GET /debug/pprof/{page} HTTP/1.1\r\nHost: rebound.example\r\n\r\n");
        assert_eq!(raw(addr(&server), request.as_bytes()).status, 421, "{page}");
    }
    let server = Handler::new().allow_host("Rebound.example").serve("127.0.0.1:0").unwrap();
    assert_eq!(with_host(&server, "Host: rebound.example:6060\r\n").status, 200);
    assert_eq!(with_host(&server, "Host: other.example\r\n").status, 421);
    assert_eq!(raw(addr(&server), b"GET /debug/pprof/ HTTP/1.0\r\n\r\n").status, 200);
}

#[test]
fn a_page_of_another_site_cannot_post() {
    let server = serve("127.0.0.1:0").unwrap();
    let post = |headers: &[(&str, &str)]| ask(addr(&server), "POST", "/debug/pprof/symbol", headers, "0x1");
    let own = format!("http://{}", addr(&server));
    assert_eq!(post(&[]).status, 200);
    assert_eq!(post(&[("Origin", &own), ("Sec-Fetch-Site", "same-origin")]).status, 200);
    assert_eq!(post(&[("Origin", "http://evil.example")]).status, 403);
    assert_eq!(post(&[("Origin", "null")]).status, 403);
    assert_eq!(post(&[("Sec-Fetch-Site", "cross-site")]).status, 403);
    assert_eq!(post(&[("Sec-Fetch-Site", "same-site")]).status, 403);
    // An image of another site that would start five minutes of work.
    let image =
        [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")];
    assert_eq!(ask(addr(&server), "GET", "/debug/pprof/conns", &image, "").status, 403);
    let link =
        [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
    assert_eq!(ask(addr(&server), "GET", "/debug/pprof/", &link, "").status, 200);
    assert_eq!(post(&link).status, 403, "nor a form of its");
}

#[test]
fn a_token_is_asked_of_everybody() {
    let handler = Handler::new().token("s3cret");
    assert!(!format!("{handler:?}").contains("s3cret"));
    let server = handler.serve("127.0.0.1:0").unwrap();
    let with = |page: &str, headers: &[(&str, &str)]| {
        ask(addr(&server), "GET", &format!("/debug/pprof/{page}"), headers, "")
    };
    for page in ["", "conns", "cmdline", "symbol", "nope"] {
        let answer = with(page, &[]);
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{page}");
        assert!(!answer.text().contains("s3cret"));
    }
    for wrong in ["Bearer s3cre", "Bearer s3crett", "Bearer S3cret", "Bearer ", "s3cret", "Basic s3cret"] {
        assert_eq!(with("conns", &[("Authorization", wrong)]).status, 401, "{wrong}");
    }
    assert_eq!(with("conns", &[("Authorization", "Bearer s3cret")]).status, 200);
    assert!(Handler::new().token("").serve("127.0.0.1:0").is_err(), "an empty token is a mistake");
}

/// The rules and the pages are the same in somebody else's server, on whatever runtime that has: here, none.
#[test]
fn a_handler_elsewhere() {
    fn block_on<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return value;
            }
            std::thread::yield_now();
        }
    }
    let handler = Handler::new().prefix("d/pprof/").allow_host("app.example");
    let ask = |method: &str, uri: &str, host: &str, body: &'static str| {
        let request = http::Request::builder().method(method).uri(uri).header("host", host);
        let body = http_body_util::Full::new(bytes::Bytes::from(body));
        let response = block_on(handler.handle(request.body(body).unwrap()));
        let status = response.status().as_u16();
        let body = block_on(http_body_util::BodyExt::collect(response.into_body())).unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    let member = CONNS.track();
    assert_eq!(ask("GET", "/d/pprof", "app.example", "").0, 307);
    assert_eq!(ask("GET", "/d/pprof/", "app.example", "").0, 200);
    assert_eq!(ask("GET", "/debug/pprof/", "app.example", "").0, 404);
    assert_eq!(ask("GET", "/d/pprof/conns", "rebound.example", "").0, 421);
    let (status, text) = ask("GET", "/d/pprof/conns?seconds=0.1&format=text", "app.example", "");
    assert_eq!(status, 200);
    assert!(text.starts_with("conns profile: total 1\n"), "{text}");
    assert_eq!(ask("POST", "/d/pprof/symbol", "app.example", "0x0").1, "num_symbols: 1\n");
    drop(member);
}
