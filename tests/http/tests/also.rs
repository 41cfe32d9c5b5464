//! The pages that Go has not: rates, status, what came since last time. And the one that can be switched off.
#![allow(missing_docs)]
use std::collections::HashMap;
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Mutex;

use profiled::http::{Handler, Server, serve};
use profiled_test_http::{ask, get};
use profiled_test_reader::{Profile, strict};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

profiled::profile! { static ODD = "a\"b\\c"; }

/// Rates are the process's.
static ONE: Mutex<()> = Mutex::new(());

fn addr(server: &Server) -> SocketAddr {
    server.local_addr().socket_addr().unwrap()
}

#[track_caller]
fn alone() -> std::sync::MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What stands before the `#` of each line of `/rates`.
fn rates(addr: SocketAddr) -> HashMap<String, u64> {
    let answer = get(addr, "rates");
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; charset=utf-8"));
    let text = answer.text();
    let pair = |line: &str| {
        let (pair, why) = line.split_once(" # ").unwrap();
        assert!(why.contains("0 is off"), "{line}");
        let (name, rate) = pair.split_once('=').unwrap();
        (name.to_owned(), rate.parse().unwrap())
    };
    text.lines().map(pair).collect()
}

#[test]
fn rates_are_shown_and_set() {
    let _alone = alone();
    let server = serve("127.0.0.1:0").unwrap();
    let addr = addr(&server);
    let before =
        (profiled::heap::set_rate(5000), profiled::block::set_rate(50), profiled::mutex::set_fraction(5));
    let shown = rates(addr);
    assert_eq!((shown["heap"], shown["block"], shown["mutex"]), (5000, 50, 5));
    assert_eq!(shown.len(), 3 + usize::from(shown.contains_key("cpu")), "{shown:?}");

    // To look sets nothing, whatever the query says.
    assert_eq!(get(addr, "rates?heap=1").status, 200);
    let head = ask(addr, "HEAD", "/debug/pprof/rates?heap=1", &[], "");
    assert_eq!(head.status, 200);
    assert_eq!(profiled::heap::rate(), 5000);

    let post = |query: &str, body: &str| ask(addr, "POST", &format!("/debug/pprof/rates{query}"), &[], body);
    let answer = post("", "heap=4096&block=7");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer.text().contains("heap=4096 # ") && answer.text().contains("block=7 # "),
        "{}",
        answer.text()
    );
    assert_eq!((profiled::heap::rate(), profiled::block::set_rate(7)), (4096, 7));
    assert_eq!(post("?mutex=3", "").status, 200);
    assert_eq!(profiled::mutex::set_fraction(3), 3);

    // All of it or nothing.
    for (body, wrong) in [
        ("heap=1&mutex=x", "\"mutex\": \"x\""),
        ("heap=1&mutex=", "\"mutex\": \"\""),
        ("heap=1&mutex=-1", "\"mutex\": \"-1\""),
        ("heap=1&mutex=%2B1", "\"mutex\": \"+1\""),
        ("heap=1&mutex=99999999999999999999", "\"mutex\""),
        ("heap=1&nobody=1", "no rate of \"nobody\""),
        ("heap=1&functions=1", "no rate of \"functions\""),
        ("heap=1&cpu=4001", "4001"),
        ("heap=1&%ff=1", "percent-encoded"),
        ("heap=1&\u{0}=1", "no rate of"),
        ("", "no rate"),
    ] {
        let answer = post("", body);
        let refused = if body.contains("cpu") && !shown.contains_key("cpu") { 501 } else { 400 };
        assert!(answer.status == refused || answer.status == 400, "{body}: {}", answer.status);
        assert!(answer.text().contains(wrong), "{body}: {}", answer.text());
        assert_eq!(profiled::heap::rate(), 4096, "{body}");
    }
    // Another site's page sets none.
    let evil = ask(addr, "POST", "/debug/pprof/rates", &[("Origin", "http://evil.example")], "heap=1");
    assert_eq!((evil.status, profiled::heap::rate()), (403, 4096));
    let put = ask(addr, "PUT", "/debug/pprof/rates", &[], "heap=1");
    assert_eq!((put.status, put.header("allow")), (405, "GET, HEAD, POST"));
    // Off is off: what is allocated from here on is not seen.
    assert_eq!(post("", "heap=0").status, 200);
    let unseen = black_box(allocates_unseen());
    let page = get(addr, "heap");
    assert!(Profile::read(&page.body).find(&["allocates_unseen"]).is_empty());
    drop(unseen);
    profiled::heap::set_rate(before.0);
    profiled::block::set_rate(before.1);
    profiled::mutex::set_fraction(before.2);
}

#[inline(never)]
fn allocates_unseen() -> Vec<Vec<u8>> {
    (0..5000).map(|_| black_box(Vec::with_capacity(7_001))).collect()
}

/// `NAME VALUE # ..` of `/status`.
fn status(addr: SocketAddr) -> HashMap<String, f64> {
    let answer = get(addr, "status");
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; charset=utf-8"));
    let text = answer.text();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (fact, help) = line.split_once(" # ").unwrap();
            assert!(!help.is_empty());
            let (name, value) = fact.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[test]
fn the_status_is_true() {
    let _alone = alone();
    let server = serve("127.0.0.1:0").unwrap();
    let addr = addr(&server);
    let rate = profiled::heap::set_rate(1);
    let kept = black_box(vec![1_u8; 10_000]);
    let seen = status(addr);
    assert_eq!(seen["allocator_installed"], 1.0);
    assert_eq!(seen["interpose_active"], 0.0);
    assert_eq!(seen["rate of heap"], 1.0);
    assert!(seen["heap_samples"] >= 1.0 && seen["table_bytes"] > 65_536.0, "{seen:?}");
    for none in ["heap_samples_lost_total", "labels_left_out_total", "stacks_folded_total", "collections"] {
        assert_eq!(seen[none], 0.0, "{none}");
    }
    if cfg!(all(target_os = "linux", not(profiled_portable))) {
        // This very test was compiled with lines.
        assert_eq!(seen["debug_information_found"], 1.0);
        assert!(seen["own_threads_cpu_seconds"] > 0.0 && seen["own_threads_cpu_seconds"] < 60.0, "{seen:?}");
        assert!(seen["process_resident_bytes"] > 1_000_000.0 && seen["limit_open_files"] >= 64.0, "{seen:?}");
        assert!((100.0..=1000.0).contains(&seen["kernel_tick_hertz"]), "{seen:?}");
        // A thread that fills its set of labels: one that finds no room is counted.
        let long = "x".repeat(60);
        let keys: Vec<String> = (0..40).map(|n| format!("key{n}")).collect();
        let pairs: Vec<(&str, &str)> = keys.iter().map(|key| (&**key, &*long)).collect();
        profiled::labels::with(&pairs, || ());
        assert!(status(addr)["labels_left_out_total"] > 0.0);
    }
    profiled::heap::set_rate(rate);
    drop(kept);
}

/// Prometheus' text form, by its grammar: every sample under its own HELP and TYPE.
#[test]
fn prometheus_reads_the_status() {
    let server = serve("127.0.0.1:0").unwrap();
    let addr = addr(&server);
    let accepting = |what| ask(addr, "GET", "/debug/pprof/status", &[("Accept", what)], "");
    let new = accepting("application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1");
    let old = accepting("text/plain;version=0.0.4;q=0.5,*/*;q=0.1");
    assert!(accepting("text/html,*/*").text().starts_with("# also-"), "people get what people read");
    for answer in [get(addr, "status?format=prometheus"), new, old] {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        let text = answer.text();
        assert!(text.ends_with('\n'));
        let name_is_good = |name: &str| {
            name.strip_prefix("profiled_").is_some_and(|rest| {
                !rest.is_empty()
                    && rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
            })
        };
        let (mut family, mut kind, mut seen) = (String::new(), String::new(), Vec::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                family = rest.split_once(' ').unwrap().0.to_owned();
                assert!(name_is_good(&family) && !seen.contains(&family), "{line}");
                seen.push(family.clone());
                continue;
            }
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, which) = rest.split_once(' ').unwrap();
                assert!(name == family && ["gauge", "counter"].contains(&which), "{line}");
                kind = which.to_owned();
                continue;
            }
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
            assert!(name == family && labels.ends_with('}'), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            assert!(value.parse::<f64>().unwrap() >= 0.0, "{line}");
        }
        for name in ["info", "rate", "profile_count", "heap_samples_lost_total", "allocator_installed"] {
            assert!(seen.contains(&format!("profiled_{name}")), "{name}: {seen:?}");
        }
        assert!(text.contains("profiled_rate{profile=\"heap\"} "), "{text}");
        assert!(text.contains("\nprofiled_profile_count{profile=\"goroutine\"} "), "{text}");
    }
    let answer = get(addr, "status?format=xml");
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("\"format\": \"xml\""), "{}", answer.text());
    drop(ODD.track());
}

/// All that `allocate` does is sampled, and nothing else.
fn sampled(allocate: fn() -> Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    profiled::heap::set_rate(1);
    let kept = allocate();
    profiled::heap::set_rate(0);
    kept
}

#[inline(never)]
fn first() -> Vec<Vec<u8>> {
    (0..40).map(|_| black_box(Vec::with_capacity(3_001))).collect()
}

#[inline(never)]
fn second() -> Vec<Vec<u8>> {
    // Another size, or optimised it is the very code of the one above.
    (0..10).map(|_| black_box(Vec::with_capacity(3_002))).collect()
}

/// Objects of 3 001 or 3 002 bytes that were allocated in a function, and those that are alive.
fn objects(page: &[u8], function: &str) -> (i64, i64) {
    let profile = Profile::read(page);
    let rows = profile.find(&[function]);
    let rows = rows.iter().filter(|row| matches!(row.number("bytes"), Some(3_001 | 3_002)));
    rows.fold((0, 0), |sum, row| (sum.0 + row.value("alloc_objects"), sum.1 + row.value("inuse_objects")))
}

#[test]
fn a_delta_is_what_came_since_the_last_one() {
    let _alone = alone();
    let server = serve("127.0.0.1:0").unwrap();
    let other = serve("127.0.0.1:0").unwrap();
    let (addr, other) = (addr(&server), addr(&other));
    let page = |addr, query: &str| {
        let answer = get(addr, &format!("delta_heap{query}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-disposition"), "attachment; filename=\"delta_heap\"");
        let wrong = strict(&answer.body, true);
        assert!(wrong.is_empty(), "{wrong:#?}");
        answer.body
    };
    let rate = profiled::heap::set_rate(0);
    let kept = sampled(first);
    let told = page(addr, "");
    assert_eq!(objects(&told, "also::first"), (40, 40), "the first time it is all since the program began");
    drop(kept);
    let kept = sampled(second);
    // What is alive is as it is, also when nothing of it is new; godeltaprof's clients store both.
    let told = page(addr, "");
    assert_eq!((objects(&told, "also::first").0, objects(&told, "also::second").0), (0, 10));
    let again = page(addr, "");
    assert_eq!(objects(&again, "also::second").0, 0, "it was told");
    // Whoever names a time is told of that, and takes nothing from the others.
    let more = sampled(second);
    let window = page(addr, "?seconds=0.05");
    assert_eq!(objects(&window, "also::second").0, 0);
    assert_eq!(ask(addr, "HEAD", "/debug/pprof/delta_heap", &[], "").status, 200);
    for bad in ["rows=x", "age=1", "peak=1", "debug=x"] {
        assert_eq!(get(addr, &format!("delta_heap?{bad}")).status, 400, "{bad}");
    }
    assert_eq!(objects(&page(addr, ""), "also::second").0, 10);
    // Each server tells its own clients.
    let all = page(other, "");
    assert_eq!((objects(&all, "also::first").0, objects(&all, "also::second").0), (40, 20));
    // So does what is made from the same handler and is another one.
    let handler = Handler::new();
    let [one, same] = [handler.clone(), handler.clone()].map(|handler| handler.serve("127.0.0.1:0").unwrap());
    assert_eq!(objects(&page(self::addr(&one), ""), "also::second").0, 20);
    assert_eq!(objects(&page(self::addr(&same), ""), "also::second").0, 0);
    let changed = handler.allow_host("other.example").serve("127.0.0.1:0").unwrap();
    assert_eq!(objects(&page(self::addr(&changed), ""), "also::second").0, 20);
    // Of many who ask at once each gets a part, and together it is all.
    let parts: Vec<i64> = std::thread::scope(|scope| {
        let ask = || objects(&page(addr, ""), "also::second").0;
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        for _ in 0..20 {
            black_box(sampled(second));
        }
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    let rest = objects(&page(addr, ""), "also::second").0;
    assert_eq!(parts.iter().sum::<i64>() + rest, 200, "{parts:?} and {rest}");
    profiled::heap::set_rate(rate);
    drop((kept, more));

    for name in ["delta_block", "delta_mutex"] {
        let answer = get(addr, name);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(Profile::read(&answer.body).types[0].0, "contentions");
        assert!(strict(&answer.body, true).is_empty());
    }
    assert_eq!(get(addr, "delta_goroutine").status, 404);
}

/// In a process of its own, with an argument that it keeps to itself.
#[test]
fn the_command_line_can_be_kept_back() {
    const SECRET: &str = "a-secret-argument";
    if std::env::args().all(|argument| argument != SECRET) {
        let name = "the_command_line_can_be_kept_back";
        let this = std::env::current_exe().unwrap();
        let output =
            std::process::Command::new(this).args([name, "--exact", "--skip", SECRET]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let open = serve("127.0.0.1:0").unwrap();
    assert!(get(addr(&open), "cmdline").text().contains(SECRET), "as Go's");
    let server = Handler::new().cmdline(false).serve("127.0.0.1:0").unwrap();
    let addr = addr(&server);
    let answer = get(addr, "cmdline");
    assert_eq!((answer.status, answer.text().as_str()), (404, "the command line is not shown here\n"));
    assert!(!get(addr, "").text().contains("cmdline"), "no link leads to it");
    for page in ["", "status", "rates", "symbol", "goroutine?debug=2", "threads?debug=1", "heap?debug=1"] {
        assert!(!get(addr, page).text().contains(SECRET), "{page}");
    }
    let profile = Profile::read(&get(addr, "heap?symbols=raw").body);
    assert!(!profile.comments.iter().any(|comment| comment.contains(SECRET)));
}
