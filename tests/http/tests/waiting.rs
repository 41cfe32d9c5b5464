//! Who waits right now, told apart from those who have waited.
#![allow(missing_docs)]
use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use profiled::sync::Mutex;
use profiled_test_http::get;
use profiled_test_reader::Profile;

#[inline(never)]
fn has_waited(lock: &Mutex<u32>) {
    *lock.lock().unwrap() += 1;
}

#[inline(never)]
fn waits_still(lock: &Mutex<u32>) {
    *lock.lock().unwrap() += 1;
}

/// Nanoseconds and number of a function's rows with this state.
fn waits(addr: SocketAddr, query: &str, function: &str, state: Option<&str>) -> (i64, i64) {
    let answer = get(addr, &format!("block{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let profile = Profile::read(&answer.body);
    let rows = profile.find(&[function]);
    let rows = rows.iter().filter(|row| row.text("state") == state && row.text("lock") == Some("waited for"));
    rows.fold((0, 0), |sum, row| (sum.0 + row.value("delay"), sum.1 + row.value("contentions")))
}

#[test]
fn who_waits_right_now_is_told_apart() {
    let server = profiled::http::serve("127.0.0.1:0").unwrap();
    let addr = server.local_addr().socket_addr().unwrap();
    profiled::block::set_rate(1);
    let lock = profiled::profile_mutex!("waited for", std::sync::Mutex::new(0));
    const APART: &str = "?tags=waiting";
    {
        let wait = |function: fn(&Mutex<u32>), time: Duration, then: &dyn Fn()| {
            let (held, come) = (lock.lock().unwrap(), Barrier::new(2));
            thread::scope(|scope| {
                scope.spawn(|| {
                    come.wait();
                    function(&lock);
                });
                come.wait();
                thread::sleep(time);
                then();
                drop(held);
            });
        };
        wait(has_waited, Duration::from_millis(50), &|| ());
        wait(waits_still, Duration::ZERO, &|| {
            let begin = Instant::now();
            let mut so_far = (0, 0);
            while so_far.1 == 0 {
                assert!(begin.elapsed() < Duration::from_secs(60), "it is never shown");
                thread::sleep(Duration::from_millis(5));
                so_far = waits(addr, APART, "waits_still", Some("waiting"));
            }
            assert_eq!((so_far.1, waits(addr, APART, "waits_still", None)), (1, (0, 0)), "not over");
            thread::sleep(Duration::from_millis(30));
            let later = waits(addr, APART, "waits_still", Some("waiting"));
            assert!(later.0 >= so_far.0 + 30_000_000 && later.1 == 1, "{so_far:?}, {later:?}");
            // Unless one asks, it is in the row where it will be booked.
            assert_eq!(waits(addr, "", "waits_still", Some("waiting")), (0, 0));
            assert!(waits(addr, "", "waits_still", None).0 >= later.0);
            // What is over is not among them.
            assert_eq!(waits(addr, APART, "has_waited", Some("waiting")), (0, 0));
            assert_eq!(waits(addr, APART, "has_waited", None).1, 1);
            let text = get(addr, "block?tags=waiting&debug=1").text();
            assert!(text.contains("\"state\":\"waiting\""), "{text}");
        });
        // Now it is over: nothing got less, and nobody waits.
        assert_eq!(waits(addr, APART, "waits_still", Some("waiting")), (0, 0));
        assert!(waits(addr, APART, "waits_still", None).0 > 30_000_000);
    }
    for (page, why) in [
        ("mutex?tags=waiting", "tags=waiting is for block"),
        ("block?tags=waiting&seconds=1", "tags=waiting is incompatible with seconds"),
    ] {
        let answer = get(addr, page);
        assert!(answer.status == 400 && answer.text().contains(why), "{page}: {}", answer.text());
    }
}
