//! Who waits right now is in `block` with the time so far, whoever's lock it is.
use std::hint::black_box;
use std::sync::{Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use profiled_test_interpose::{alone, delay, of, read, stress, take_all, text};

#[inline(never)]
fn waits_for_plain(lock: &Mutex<u32>) {
    *lock.lock().unwrap() += 1;
    black_box(());
}

#[inline(never)]
fn waits_for_parking_lot(lock: &parking_lot::Mutex<u32>) {
    *lock.lock() += 1;
    black_box(());
}

#[inline(never)]
fn waits_to_receive(queue: &mpsc::Receiver<u32>) {
    queue.recv().unwrap();
    black_box(());
}

fn so_far(function: &str) -> f64 {
    delay(&read("block").find(&[function]))
}

/// Waits until it is shown, and a while longer: the time so far grows with the clock.
fn grows(function: &str, class: &str) -> f64 {
    let begin = Instant::now();
    while so_far(function) == 0.0 {
        assert!(begin.elapsed() < Duration::from_secs(60), "{function} is never shown");
        thread::sleep(Duration::from_millis(5));
    }
    let (before, begin) = (so_far(function), Instant::now());
    thread::sleep(Duration::from_millis(50));
    let passed = begin.elapsed().as_nanos() as f64;
    let block = read("block");
    let now = delay(&block.find(&[function]));
    // Between the two looks there are at least those 50 ms, and the looks themselves besides.
    assert!(now >= before + passed, "{before} and {now}, {passed} later");
    let rows = block.find(&[function]);
    assert!(rows.len() == 1 && rows[0].value("contentions") == 1, "{rows:#?}");
    assert!(of(&block, class).iter().any(|row| row.has(&[function])), "{rows:#?}");
    now
}

#[test]
fn who_waits_for_a_futex_is_shown_while_it_lasts() {
    alone("who_waits_for_a_futex_is_shown_while_it_lasts", || {
        take_all();
        let (plain, parking) = (Mutex::new(0), parking_lot::Mutex::new(0));
        let (sender, receiver) = mpsc::channel();
        let held = (plain.lock().unwrap(), parking.lock());
        thread::scope(|scope| {
            scope.spawn(|| waits_for_plain(&plain));
            scope.spawn(|| waits_for_parking_lot(&parking));
            scope.spawn(move || waits_to_receive(&receiver));
            let last = [
                ("waits_for_plain", grows("waits_for_plain", "mutex")),
                ("waits_for_parking_lot", grows("waits_for_parking_lot", "mutex")),
                ("waits_to_receive", grows("waits_to_receive", "channel")),
            ];
            drop(held);
            sender.send(1).unwrap();
            for (function, last) in last {
                assert!(so_far(function) >= last, "{function} got less");
            }
        });
        let after: Vec<f64> =
            ["waits_for_plain", "waits_for_parking_lot", "waits_to_receive"].map(so_far).to_vec();
        thread::sleep(Duration::from_millis(20));
        let later: Vec<f64> =
            ["waits_for_plain", "waits_for_parking_lot", "waits_to_receive"].map(so_far).to_vec();
        assert_eq!(after, later, "nobody waits any more");
    });
}

/// However often one looks, what was told is never taken back.
#[test]
fn totals_only_grow() {
    alone("totals_only_grow", || {
        take_all();
        let lock = Mutex::new(0_u64);
        let (meet, begin) = (Barrier::new(4), Instant::now());
        thread::scope(|scope| {
            for n in 0..3_u64 {
                let (lock, meet) = (&lock, &meet);
                scope.spawn(move || {
                    meet.wait();
                    while begin.elapsed() < stress() {
                        let mut guard = lock.lock().unwrap();
                        thread::sleep(Duration::from_micros(300 * (n + 1)));
                        *guard += 1;
                        drop(guard);
                        thread::sleep(Duration::from_micros(50));
                    }
                });
            }
            meet.wait();
            let (mut before, mut looks) = (0, 0);
            while begin.elapsed() < stress() {
                let now = read("block").total_of("delay", &["totals_only_grow"]);
                assert!(now >= before, "{before}, and then {now}");
                (before, looks) = (now, looks + 1);
            }
            assert!(before > 0 && looks > 3, "{before} at {looks} looks");
        });
    });
}

/// Where nothing is known of who holds it, it is listed as a wait all the same, and is no deadlock.
#[test]
fn full_text_of_deadlocks_lists_waits_for_futexes() {
    alone("full_text_of_deadlocks_lists_waits_for_futexes", || {
        let plain = Mutex::new(0);
        let held = plain.lock().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| waits_for_plain(&plain));
            let begin = Instant::now();
            let all = loop {
                let all = text("deadlock", 2);
                if all.contains("waits_for_plain") {
                    break all;
                }
                assert!(begin.elapsed() < Duration::from_secs(60), "{all}");
                thread::sleep(Duration::from_millis(5));
            };
            assert!(all.contains("for a futex, whose holder is not known, at"), "{all}");
            // The harness may wait, too.
            assert!(all.contains("# 0 deadlocks, 0 lock order inversions; "), "{all}");
            assert!(!text("deadlock", 1).contains("waits_for_plain"), "in full only");
            drop(held);
        });
    });
}
