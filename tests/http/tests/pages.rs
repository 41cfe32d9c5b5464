//! Go's pages, row by row: what a client of Go's endpoints sends, and what it gets from ours.
#![allow(missing_docs)]
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use profiled_test_http::{Answer, ask, get, head};
use profiled_test_reader::{FlameGraph, folded};

profiled::profile! { static CONNS = "example.com/conns"; }
profiled::profile! { static PATHS = "app::conns"; }
profiled::profile! { static ODD = "<script>alert('x')</script> \"&%"; }
profiled::profile! { static DRAWN = "drawn" }
profiled::profile! { static TWIN_A = "twin"; }
profiled::profile! { static TWIN_B = "twin"; }

static SERVER: LazyLock<SocketAddr> = LazyLock::new(|| {
    let server = profiled::http::serve("127.0.0.1:0").unwrap();
    let addr = server.local_addr().socket_addr().unwrap();
    assert_eq!(server.local_addr().to_string(), addr.to_string());
    server.detach();
    addr
});

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("x-go-pprof"), "1");
    assert_eq!(answer.header("content-disposition"), "");
    let body = answer.text();
    assert!(body.contains(text) && body.ends_with('\n') && body.lines().count() == 1, "{body:?}");
}

#[track_caller]
fn assert_file(answer: &Answer, name: &str) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"{name}\""));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("content-encoding"), "");
}

#[track_caller]
fn assert_text(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(answer.header("content-disposition"), "");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[test]
fn without_its_slash_the_page_moves() {
    let answer = ask(*SERVER, "GET", "/debug/pprof", &[], "");
    assert_eq!((answer.status, answer.header("location")), (307, "/debug/pprof/"));
}

#[test]
fn a_profile_that_the_program_fills() {
    let key = CONNS.track();
    let binary = get(*SERVER, "example.com/conns");
    assert_file(&binary, "example.com/conns");
    assert!(binary.strings().iter().any(|s| s == "example.com/conns"));
    let text = get(*SERVER, "example.com/conns?debug=1");
    assert_text(&text);
    assert!(text.text().starts_with("example.com/conns profile: total 1\n"), "{}", text.text());
    CONNS.add("second", 0).unwrap();
    let text = get(*SERVER, "example.com/conns?debug=1").text();
    assert!(text.starts_with("example.com/conns profile: total 2\n"), "{text}");
    assert!(CONNS.remove("second"));
    drop(key);
    let text = get(*SERVER, "example.com/conns?debug=1").text();
    assert!(text.starts_with("example.com/conns profile: total 0\n"), "{text}");
}

#[test]
fn names_in_a_path() {
    for (path, name) in [
        ("app::conns", "app::conns"),
        ("app%3A%3Aconns", "app::conns"),
        ("example.com%2fconns", "example.com/conns"),
        ("%65xample.com/conns", "example.com/conns"),
    ] {
        assert_file(&get(*SERVER, path), name);
    }
    let odd = get(*SERVER, "%3Cscript%3Ealert%28%27x%27%29%3C%2Fscript%3E%20%22%26%25");
    assert_eq!(odd.status, 200);
    assert!(
        odd.header("content-disposition")
            .starts_with("attachment; filename=\"<script>alert('x')</script> _&%\"; ")
    );
    for unknown in
        ["Example.com/conns", "example.com/conns/", "nope", "../../etc/passwd", "%2e%2e/x", "/", "a+b", "%00"]
    {
        let answer = get(*SERVER, unknown);
        assert_refused(&answer, 404, "Unknown profile");
        assert_eq!(answer.text(), "Unknown profile\n");
    }
    for bad in ["%", "%f", "%zz", "%ff%fe", "a%c3%28"] {
        assert_refused(&get(*SERVER, bad), 400, "path");
    }
    for outside in ["/", "/debug", "/debug/pprofx", "/debug/pprofx/heap", "/x/debug/pprof/", "*"] {
        assert_refused(&ask(*SERVER, "GET", outside, &[], ""), 404, "/debug/pprof/");
    }
}

#[test]
fn a_bad_value_is_named() {
    for (query, named) in [
        ("debug=x", "\"debug\": \"x\""),
        ("debug=-1", "\"debug\": \"-1\""),
        ("debug=", "\"debug\": \"\""),
        ("gc=x", "\"gc\""),
        ("rows=-1", "\"rows\""),
        ("rows=1e3", "\"rows\""),
        ("format=gif", "\"format\": \"gif\""),
        ("format=text&debug=1", "format and debug"),
        ("seconds=abc", "\"seconds\": \"abc\""),
        ("seconds=", "\"seconds\": \"\""),
        ("seconds", "\"seconds\": \"\""),
        ("seconds=0", "\"seconds\": \"0\""),
        ("seconds=-1", "\"seconds\""),
        ("seconds=NaN", "\"seconds\""),
        ("seconds=inf", "\"seconds\""),
        ("seconds=1e308", "\"seconds\""),
        ("seconds=300.5", "at most 300"),
        ("seconds=abc&seconds=1", "\"seconds\": \"abc\""),
        ("seconds=1&debug=1", "seconds and debug params are incompatible"),
        ("seconds=%zz", "query"),
        ("x=%ff", "query"),
    ] {
        assert_refused(&get(*SERVER, &format!("example.com/conns?{query}")), 400, named);
    }
    for (query, named) in
        [("seconds=0.5x", "\"seconds\""), ("hz=0", "\"hz\""), ("hz=fast", "\"hz\""), ("debug=x", "\"debug\"")]
    {
        assert_refused(&get(*SERVER, &format!("profile?{query}")), 400, named);
    }
}

#[test]
fn what_is_well_said_is_accepted() {
    for query in [
        "",
        "gc=1",
        "debug=0",
        "rows=0",
        "rows=10",
        "format=pprof",
        "seconds=0.05&seconds=junk",
        "unknown=1&&=&x",
        "debug=0&seconds=0.05",
    ] {
        assert_file(&get(*SERVER, &format!("app::conns?{query}")), "app::conns");
    }
    for query in [
        "debug=1",
        "debug=2",
        "debug=9",
        "format=text",
        "format=folded",
        "debug=%31",
        "seconds=0.05&format=text",
    ] {
        assert_text(&get(*SERVER, &format!("app::conns?{query}")));
    }
}

#[inline(never)]
fn takes_many() -> Vec<profiled::Tracked> {
    let mut members = Vec::new();
    for _ in 0..9 {
        members.push(DRAWN.track());
    }
    members
}

#[inline(never)]
fn takes_one() -> profiled::Tracked {
    let member = DRAWN.track();
    // Optimised, a function that ends in a call is gone from the stack when that begins.
    std::hint::black_box(&member);
    member
}

#[test]
fn a_flame_graph_is_an_image_to_look_at() {
    let members = (takes_many(), takes_one());
    let answer = get(*SERVER, "drawn?format=svg");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "image/svg+xml");
    assert_eq!(answer.header("content-disposition"), "", "a browser is to show it");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let policy = answer.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; ") && policy.contains("script-src 'unsafe-inline'"),
        "{policy}"
    );
    let graph = FlameGraph::read(&answer.text()).unwrap();
    assert_eq!((graph.title.as_str(), graph.total), ("drawn: drawn in count", 10));
    for name in ["pages::takes_many", "pages::takes_one"] {
        assert!(graph.shows(name), "{name}: {:#?}", graph.bars);
    }

    let lines = folded(&get(*SERVER, "drawn?format=folded").text()).unwrap();
    let leaf =
        |name: &str| lines.iter().find(|(stack, _)| stack.last().is_some_and(|last| last.contains(name)));
    assert_eq!(leaf("pages::takes_many").map(|found| *found.1), Some(9), "{lines:#?}");
    assert_eq!(leaf("pages::takes_one").map(|found| *found.1), Some(1), "{lines:#?}");

    // Rows that there was no room for are a bar of their own.
    let graph = FlameGraph::read(&get(*SERVER, "drawn?format=svg&rows=1").text()).unwrap();
    assert_eq!(graph.bars.into_iter().collect::<Vec<_>>(), [(vec!["[other]".to_owned()], 10)]);
    let text = get(*SERVER, "drawn?format=folded&rows=1").text();
    assert_eq!(text, "[other] 10\n");
    drop(members);
}

#[test]
fn a_state_is_told_at_the_end_of_its_window() {
    let begin = Instant::now();
    let request = std::thread::spawn(|| get(*SERVER, "twin?seconds=0.6&format=text"));
    std::thread::sleep(Duration::from_millis(200));
    let member = TWIN_A.track();
    let answer = request.join().unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(600));
    assert!(answer.text().starts_with("twin profile: total 1\n"), "{}", answer.text());
    drop(member);
}

#[test]
fn head_does_no_work() {
    let begin = Instant::now();
    for (page, status, kind) in [
        ("", 200, "text/html; charset=utf-8"),
        ("example.com/conns", 200, "application/octet-stream"),
        ("example.com/conns?debug=1", 200, "text/plain; charset=utf-8"),
        ("example.com/conns?seconds=20", 200, "application/octet-stream"),
        ("example.com/conns?seconds=x", 400, "text/plain; charset=utf-8"),
        ("nope", 404, "text/plain; charset=utf-8"),
        ("example.com/conns?format=svg&seconds=20", 200, "image/svg+xml"),
        ("example.com/conns?format=folded", 200, "text/plain; charset=utf-8"),
        ("cmdline", 200, "text/plain; charset=utf-8"),
        ("symbol", 200, "text/plain; charset=utf-8"),
    ] {
        use std::io::Write as _;
        let mut stream = profiled_test_http::connect(*SERVER);
        write!(stream, "HEAD /debug/pprof/{page} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let answer = head(&mut stream).unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (status, kind), "{page}");
    }
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn other_methods_are_told_which_there_are() {
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        for page in ["", "example.com/conns", "cmdline", "profile", "nope"] {
            let answer = ask(*SERVER, method, &format!("/debug/pprof/{page}"), &[], "");
            assert_refused(&answer, 405, "Method Not Allowed");
            assert_eq!(answer.header("allow"), "GET, HEAD", "{method} {page}");
        }
    }
    let answer = ask(*SERVER, "PUT", "/debug/pprof/symbol", &[], "");
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD, POST"));
}

#[test]
fn cmdline_is_joined_by_nul() {
    let answer = get(*SERVER, "cmdline");
    assert_text(&answer);
    let arguments: Vec<_> = std::env::args().collect();
    assert_eq!(answer.text(), arguments.join("\0"));
}

#[test]
fn symbol_answers_get_and_post() {
    for answer in [
        get(*SERVER, "symbol"),
        get(*SERVER, "symbol?0x0+junk"),
        ask(*SERVER, "POST", "/debug/pprof/symbol", &[], "0x0+1+%2B"),
        ask(*SERVER, "POST", "/debug/pprof/symbol", &[("Content-Type", "application/octet-stream")], ""),
    ] {
        assert_text(&answer);
        assert_eq!(answer.text(), "num_symbols: 1\n");
    }
    let main = symbol_answers_get_and_post as fn() as usize;
    let answer = ask(*SERVER, "POST", "/debug/pprof/symbol", &[], &format!("{main:#x}")).text();
    let name = answer.strip_prefix("num_symbols: 1\n").unwrap();
    // A build without symbols has no name for it, and then no line either.
    let line = format!("{main:#x} ");
    assert!(name.is_empty() || name.starts_with(&line) && name.contains("symbol_answers"), "{name}");
    let long = "0x1+".repeat(20_000);
    assert_refused(&ask(*SERVER, "POST", "/debug/pprof/symbol", &[], &long), 413, "65536");
}

#[test]
fn the_index_shows_every_profile_and_runs_no_name() {
    let answer = get(*SERVER, "");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let page = answer.text();
    assert!(!page.contains("<script"), "a name became a script");
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &#34;&amp;%</a>"));
    assert!(page.contains("href=\"example.com/conns?debug=1\""));
    assert!(page.contains("href=\"app%3A%3Aconns\" download"), "a relative link may not look like a scheme");
    assert!(page.contains("Declared as <code>twin</code>"), "a renamed profile says so");
    for profile in profiled::profiles() {
        let name = profile.name().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        assert!(page.contains(&name.replace('"', "&#34;").replace('\'', "&#39;")), "{name}");
    }
    // Every link of a profile leads to it.
    let links: Vec<_> = page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(links.len() >= 10);
    for link in links.iter().filter(|link| !link.contains("seconds=")) {
        assert_eq!(get(*SERVER, &link.replace("&amp;", "&")).status, 200, "{link}");
    }
}

#[test]
fn a_cpu_profile_is_there_or_says_why_not() {
    let answer = get(*SERVER, "profile?seconds=0.3&debug=1");
    let sampled = cfg!(all(target_os = "linux", target_arch = "x86_64", not(profiled_portable)));
    if sampled && profiled::lookup("cpu").is_some() {
        assert_file(&answer, "profile");
        assert!(answer.strings().iter().any(|s| s == "samples"));
    } else {
        assert_refused(&answer, 501, "Could not enable CPU profiling");
    }
}

#[test]
fn curl_agrees() {
    let output = std::process::Command::new("curl")
        .args(["-sS", "-i", "-L", &format!("http://{}/debug/pprof", *SERVER)])
        .output();
    // Where there is no curl there is nothing to agree with.
    let Ok(output) = output else { return };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("HTTP/1.1 307 ") && text.contains("HTTP/1.1 200 OK"), "{text}");
    assert!(text.ends_with("</html>\n"));
}
