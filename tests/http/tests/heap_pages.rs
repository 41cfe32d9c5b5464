//! What the page of the heap says when it is asked for more than what is alive now.
#![allow(missing_docs)]
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use profiled_test_http::get;
use profiled_test_reader::Profile;

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

#[inline(never)]
fn leaks() -> Vec<Vec<u8>> {
    let mut kept = Vec::new();
    for _ in 0..500 {
        kept.push(black_box(Vec::with_capacity(5_003)));
    }
    black_box("leaks");
    kept
}

#[inline(never)]
fn passes() -> Vec<Vec<u8>> {
    let mut kept = Vec::new();
    for _ in 0..1000 {
        kept.push(black_box(Vec::with_capacity(5_003)));
    }
    black_box("passes");
    kept
}

fn profile(server: SocketAddr, query: &str) -> Profile {
    let answer = get(server, &format!("heap?{query}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"heap\"");
    Profile::read(&answer.body)
}

fn space(profile: &Profile, function: &str) -> i64 {
    let rows = profile.find(&[function]);
    let blocks = rows.iter().filter(|row| row.number("bytes") == Some(5_003));
    blocks.map(|row| row.value("inuse_space")).sum()
}

/// One test, as rates and peaks are the process's.
#[test]
fn the_heap_has_views() {
    let server = profiled::http::serve("127.0.0.1:0").unwrap();
    let addr = server.local_addr().socket_addr().unwrap();
    profiled::heap::set_rate(1);
    let kept = leaks();
    std::thread::sleep(Duration::from_millis(2500));
    drop(passes());
    let new = passes();
    profiled::heap::set_rate(0);

    let both = |query: &str| {
        let profile = profile(addr, query);
        (space(&profile, "heap_pages::leaks"), space(&profile, "heap_pages::passes"))
    };
    let (leaked, passed) = (500 * 5_003, 1000 * 5_003);
    // The server's thread is as good as idle: the answer takes no two seconds.
    assert_eq!(both("age=2.2"), (leaked, 0));
    assert_eq!(both("age=0"), (leaked, passed));
    assert_eq!(both("gc=1"), (leaked, passed), "there is nothing to collect");
    drop(new);
    assert_eq!(both(""), (leaked, 0));
    let (at_peak, passed_then) = both("peak=1");
    // The mark is at most 5 % and 64 KiB below the peak.
    assert!(at_peak == leaked && passed_then > passed * 9 / 10, "{at_peak} {passed_then}");
    assert_eq!(both("peak=0"), (leaked, 0));
    assert_eq!(both("peak=1&debug=0"), (at_peak, passed_then));
    let text = get(addr, "heap?peak=1&debug=1").text();
    assert!(text.contains("# the live heap as it was when it was largest"), "{text}");
    let aged = get(addr, "allocs?age=2&debug=1").text();
    assert!(aged.contains("# only blocks that were allocated 2 s ago or earlier"), "{aged}");

    // The plumbing of vectors is there, or it is not.
    let leaves = |query: &str| -> Vec<String> {
        let profile = profile(addr, query);
        let rows = profile.find(&["heap_pages::leaks"]);
        rows.iter().map(|row| row.frames[0].name.clone()).collect()
    };
    let is_library = |name: &String| name.contains("alloc::") || name.contains("core::");
    assert!(leaves("").iter().any(is_library), "{:?}", leaves(""));
    assert_eq!(leaves("noise=1"), leaves(""));
    assert!(leaves("noise=0").iter().all(|name| name == "heap_pages::leaks"), "{:?}", leaves("noise=0"));

    for (page, wrong) in [
        ("heap?age=x", "invalid value for \"age\": \"x\" - must be a number of seconds"),
        ("heap?age=-1", "must be a number of seconds"),
        ("heap?age=NaN", "must be a number of seconds"),
        ("heap?age=1e300", "must be a number of seconds"),
        ("heap?peak=2", "invalid value for \"peak\": \"2\" - must be 0 or 1"),
        ("heap?noise=yes", "must be 0 or 1"),
        ("heap?peak=1&age=1", "age and peak are incompatible"),
        ("heap?peak=1&seconds=1", "age and peak are incompatible with seconds"),
        ("mutex?age=1", "age and peak are for heap and allocs"),
    ] {
        let answer = get(addr, page);
        assert_eq!(answer.status, 400, "{page}");
        assert!(answer.text().contains(wrong), "{page}: {}", answer.text());
    }
    drop(kept);
}
