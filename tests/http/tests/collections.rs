//! How much work clients can make at a time: so many collections in the whole process, whoever asks and through which server.
#![allow(missing_docs)]
use std::io::Write as _;
use std::time::{Duration, Instant};

use profiled::http::serve;
use profiled_test_http::{connect, get};

/// As the documents say.
const MOST: usize = 64;

/// One test: the bound is the process's.
#[test]
fn there_are_so_many_collections_at_a_time() {
    let servers = [serve("127.0.0.1:0").unwrap(), serve("127.0.0.1:0").unwrap()];
    let addrs = servers.each_ref().map(|server| server.local_addr().socket_addr().unwrap());
    let running = || {
        let status = get(addrs[0], "status").text();
        let line = status
            .lines()
            .find(|line| line.contains("that are being collected over HTTP"))
            .map(str::to_owned);
        line.unwrap_or_else(|| panic!("{status}"))
    };
    let mut waiting: Vec<_> = (0..MOST)
        .map(|number| {
            let mut stream = connect(addrs[number % 2]);
            let request = "GET /debug/pprof/heap?seconds=100 HTTP/1.1\r\nHost: localhost\r\n\r\n";
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    let begin = Instant::now();
    while !running().contains(&MOST.to_string()) {
        assert!(begin.elapsed() < Duration::from_secs(20), "{}", running());
        std::thread::sleep(Duration::from_millis(10));
    }
    for (addr, page) in addrs
        .iter()
        .flat_map(|addr| ["heap", "profile?seconds=0.1", "trace?seconds=0.1"].map(|page| (addr, page)))
    {
        let refused = get(*addr, page);
        assert_eq!((refused.status, refused.header("x-go-pprof")), (503, "1"), "{page}: {}", refused.text());
        assert!(refused.text().contains("64 collections are running already"), "{page}: {}", refused.text());
    }
    // What is no collection is still to be had, and so is what costs nothing.
    for page in ["", "status", "rates", "cmdline"] {
        assert_eq!(get(addrs[0], page).status, 200, "{page}");
    }
    // Who goes away makes room.
    drop(waiting.pop());
    let begin = Instant::now();
    while get(addrs[1], "heap").status != 200 {
        assert!(begin.elapsed() < Duration::from_secs(20), "{}", running());
        std::thread::sleep(Duration::from_millis(10));
    }
}
