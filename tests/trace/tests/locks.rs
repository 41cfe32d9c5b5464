//! Waits, and who ended them.
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use profiled::sync::{Barrier, Condvar, Mutex, RwLock, mpsc};
use profiled::{block, profile_mutex};
use profiled_test_trace::{count, record};

#[inline(never)]
fn holds(lock: &Mutex<u32>) {
    let mut value = lock.lock().unwrap();
    *value += 1;
    thread::sleep(Duration::from_millis(4));
}

/// Sessions and profiles are the process's: one test at a time.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Nanoseconds of all waits for locks, as our profile of them has them.
fn blocked() -> i64 {
    let mut file = Vec::new();
    profiled::lookup("block").unwrap().write_to(&mut file, 0).unwrap();
    let profile = profiled_test_reader::Profile::read(&file);
    profile.samples().iter().map(|sample| sample.value("delay")).sum()
}

#[test]
fn waits_are_what_our_own_profile_says() {
    let _alone = alone();
    // Every wait is in the profile, with its own time.
    block::set_rate(1);
    let lock = Arc::new(profile_mutex!("locks/traced", Mutex::new(0)));
    let shared = Arc::new(RwLock::new(0));
    let before = blocked();
    let (trace, summary) = record(|| {
        thread::scope(|scope| {
            let writes = shared.write().unwrap();
            for _ in 0..4 {
                let (lock, shared) = (&lock, &shared);
                scope.spawn(move || {
                    drop(shared.read().unwrap());
                    for _ in 0..10 {
                        holds(lock);
                    }
                });
            }
            thread::sleep(Duration::from_millis(50));
            drop(writes);
        });
    });
    let ours = blocked() - before;
    assert_eq!(summary.dropped, 0);
    let text = trace.parsed();
    let theirs: i64 = trace.profile("sync").samples().iter().map(|sample| sample.value("delay")).sum();
    // A wait is the time between two looks at the clock, here and there, some microseconds apart; waits are milliseconds.
    let ratio = theirs as f64 / ours as f64;
    assert!((ratio - 1.0).abs() < 0.05, "{theirs} of {ours}");
    assert!(ours > 100_000_000, "four threads wait for one another: {ours}");
    assert!(count(&text, &["Running->Waiting", "sync: Mutex locks/traced"]) >= 3, "{text}");
    assert!(count(&text, &["Running->Waiting", "sync: RwLock read"]) >= 1, "{text}");
}

#[test]
fn who_lets_others_go_on_is_told_with_its_stack() {
    let _alone = alone();
    let lock = Arc::new(Mutex::new(0));
    let (trace, _) = record(|| {
        let theirs = Arc::clone(&lock);
        let waiter = thread::Builder::new().name("waiter".to_owned());
        let held = lock.lock().unwrap();
        let waiter = waiter.spawn(move || *theirs.lock().unwrap()).unwrap();
        thread::sleep(Duration::from_millis(20));
        lets_go(held);
        waiter.join().unwrap();
    });
    let text = trace.parsed();
    // The event's own stack, which is the lines that follow it.
    let at =
        text.lines().position(|line| line.contains("Waiting->Runnable")).unwrap_or_else(|| panic!("{text}"));
    let event: Vec<&str> = text.lines().skip(at).take(8).collect();
    assert!(event.iter().any(|line| line.contains("lets_go")), "{event:#?}");
}

#[inline(never)]
fn lets_go<T>(held: T) {
    drop(held);
    std::hint::black_box(());
}

#[test]
fn channels_conditions_barriers_and_regions_have_their_own_reasons() {
    let _alone = alone();
    let (trace, _) = record(|| {
        let (send, receive) = mpsc::channel();
        let pair = Arc::new((Mutex::new(false), Condvar::new()));
        let barrier = Arc::new(Barrier::new(2));
        let (theirs, meets) = (Arc::clone(&pair), Arc::clone(&barrier));
        let other = thread::spawn(move || {
            assert_eq!(receive.recv().unwrap(), 7);
            let (lock, condition) = &*theirs;
            let mut ready = lock.lock().unwrap();
            while !*ready {
                ready = condition.wait(ready).unwrap();
            }
            drop(ready);
            meets.wait();
        });
        let pause = || thread::sleep(Duration::from_millis(10));
        pause();
        send.send(7).unwrap();
        pause();
        *pair.0.lock().unwrap() = true;
        pair.1.notify_all();
        pause();
        barrier.wait();
        other.join().unwrap();
        let _region = block::region("db.query");
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(1) {}
    });
    let text = trace.parsed();
    for reason in ["chan receive", "sync: Condvar", "sync: Barrier"] {
        assert!(count(&text, &["Running->Waiting", reason]) >= 1, "{reason}: {text}");
    }
    assert_eq!(count(&text, &["RegionBegin", "\"db.query\""]), 1);
    assert_eq!(count(&text, &["RegionEnd", "\"db.query\""]), 1);
}

#[inline(never)]
fn notifies(condition: &Condvar) {
    condition.notify_one();
    std::hint::black_box(());
}

#[inline(never)]
fn sends(to: &mpsc::SyncSender<u32>, message: u32) {
    to.send(message).unwrap();
    std::hint::black_box(());
}

#[inline(never)]
fn receives(from: &mpsc::Receiver<u32>) -> u32 {
    let message = from.recv().unwrap();
    std::hint::black_box(message)
}

/// The one who goes on is on the timeline at the deed of who let it, with that one's stack.
#[test]
fn who_notifies_sends_and_receives_is_told_with_its_stack() {
    let _alone = alone();
    let (trace, _) = record(|| {
        let pause = || thread::sleep(Duration::from_millis(20));
        let pair = Arc::new((Mutex::new(false), Condvar::new()));
        let (send, receive) = mpsc::sync_channel(1);
        let theirs = Arc::clone(&pair);
        let other = thread::spawn(move || {
            let (lock, condition) = &*theirs;
            drop(condition.wait_while(lock.lock().unwrap(), |ready| !*ready).unwrap());
            // Waits for the first, and then has the other side wait for room.
            assert_eq!(receives(&receive), 1);
            thread::sleep(Duration::from_millis(40));
            assert_eq!([receives(&receive), receives(&receive)], [2, 3]);
        });
        pause();
        *pair.0.lock().unwrap() = true;
        notifies(&pair.1);
        pause();
        for message in 1..=3 {
            sends(&send, message);
        }
        other.join().unwrap();
    });
    let text = trace.parsed();
    let lines: Vec<&str> = text.lines().collect();
    let told = |function: &str| {
        let is = |at: usize| {
            lines[at].contains("Waiting->Runnable")
                && lines[at + 1..]
                    .iter()
                    .take(12)
                    .take_while(|line| !line.starts_with("M="))
                    .any(|line| line.contains(function))
        };
        (0..lines.len()).any(is)
    };
    for function in ["locks::notifies", "locks::sends", "locks::receives"] {
        assert!(told(function), "{function}: {text}");
    }
}
