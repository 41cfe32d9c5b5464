//! A program that is stuck is asked why, and answers.
#![allow(missing_docs)]
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use profiled::sync::Mutex;
use profiled_test_http::get;
use profiled_test_reader::Profile;

#[inline(never)]
fn waits_for_the_next(own: &Mutex<u32>, next: &Mutex<u32>, meet: &Barrier) {
    let own = own.lock().unwrap();
    meet.wait();
    let next = next.lock().unwrap();
    std::hint::black_box((&own, &next));
}

/// Three threads wait in a circle, and the server, which waits for none of them, answers as before.
#[test]
fn a_deadlock_is_told_over_http() {
    let server = profiled::http::serve("127.0.0.1:0").unwrap();
    let addr = server.local_addr().socket_addr().unwrap();
    let none = get(addr, "deadlock?debug=1");
    assert_eq!(none.status, 200);
    assert!(none.text().starts_with("deadlock profile: total 0\n# 0 deadlocks, "), "{}", none.text());

    let forks: Vec<Arc<Mutex<u32>>> = ["fork/0", "fork/1", "fork/2"]
        .iter()
        .map(|name| {
            let lock = std::sync::Mutex::new(0);
            // A name is a constant.
            Arc::new(match *name {
                "fork/0" => profiled::profile_mutex!("fork/0", lock),
                "fork/1" => profiled::profile_mutex!("fork/1", lock),
                _ => profiled::profile_mutex!("fork/2", lock),
            })
        })
        .collect();
    let meet = Arc::new(Barrier::new(3));
    for n in 0..3 {
        let (own, next, meet) = (forks[n].clone(), forks[(n + 1) % 3].clone(), meet.clone());
        let builder = thread::Builder::new().name(format!("philosopher {n}"));
        builder.spawn(move || waits_for_the_next(&own, &next, &meet)).unwrap();
    }
    let begin = Instant::now();
    let text = loop {
        let answer = get(addr, "deadlock?debug=1");
        assert_eq!(answer.status, 200);
        if answer.text().contains("DEADLOCK 1: 3 threads") {
            break answer.text();
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{}", answer.text());
        thread::sleep(Duration::from_millis(10));
    };
    let frames = text.lines().filter(|line| line.starts_with("#\t") && line.contains("waits_for_the_next"));
    assert_eq!(frames.count(), 3, "{text}");
    for n in 0..3 {
        let wait = format!("thread \"philosopher {n}\" (");
        let held = format!("held by \"philosopher {}\" (", (n + 1) % 3);
        let line = text.lines().find(|line| line.contains(&wait) && line.contains(&held));
        assert!(line.is_some_and(|line| line.contains(&format!("fork/{}", (n + 1) % 3))), "{text}");
    }

    let answer = get(addr, "deadlock");
    let profile = Profile::read(&answer.body);
    assert_eq!((answer.status, profile.total("threads")), (200, 3));
    assert_eq!(get(addr, "deadlock?seconds=0.1").status, 200, "a state is as it is at the end");
    // All else is as it was.
    for page in
        ["", "heap", "block?debug=1", "mutex", "fork%2F1?debug=1", "profile?seconds=0.1", "deadlock?debug=2"]
    {
        let answer = get(addr, page);
        assert_eq!(answer.status, 200, "{page}: {}", answer.text());
    }
    let index = get(addr, "").text();
    let row = index.lines().find(|line| line.contains("deadlock?debug=1")).unwrap_or_default();
    assert!(row.contains("<td class=\"n\">1</td>") && row.contains("deadlock?debug=2"), "{row}");
}
