//! Every kind of lock that a thread holds and another one waits for: who waits for whom is told of each, with stacks of both.
#![allow(clippy::significant_drop_tightening)] // they are held on purpose
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use profiled::deadlock::check_order;
use profiled::{parking_lot, parking_lot_0_13, profile_mutex};
use profiled_test_profiles::{alone, read, stress, text};

/// Waits until the text says so. What happens for certain has all the time that there is.
fn until(what: &str) -> String {
    let begin = Instant::now();
    loop {
        let text = text("deadlock", 1);
        if text.contains(what) {
            return text;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "never {what}: {text}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What is told of a thread.
fn told_of<'a>(text: &'a str, thread: &str) -> Vec<&'a str> {
    let own = format!("# thread \"{thread}\" (");
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&own));
    let first = lines.next().unwrap_or_else(|| panic!("nothing of {thread} in\n{text}"));
    let ends = |line: &&str| !line.starts_with("# thread \"") && !line.contains("DEADLOCK");
    std::iter::once(first).chain(lines.take_while(ends)).collect()
}

/// A thread waits for the lock of another one, which waits for its own. Each goes by the name of its function, its lock by
/// that, too.
fn is_stuck(text: &str, thread: &str, other: &str, checks: bool) {
    let lines = told_of(text, thread);
    assert!(lines[0].contains(&format!(" for of_{other} (")), "{lines:#?}");
    assert!(lines[0].contains(&format!("held by \"{other}\" (")), "{lines:#?}");
    let place = lines.iter().position(|line| line.starts_with(&format!("# it holds of_{thread} (")));
    let (waits, holds) = lines.split_at(place.unwrap_or_else(|| panic!("{lines:#?}")));
    let is_there = |line: &str| line.contains(&format!("::{thread}"));
    assert!(waits.iter().any(|line| is_there(line)), "where it waits: {lines:#?}");
    let taken = holds.iter().skip(1).any(|line| is_there(line));
    assert_eq!(taken, checks, "where it took it: {lines:#?}");
    let profile = read("deadlock");
    let rows = profile.find(&[&format!("::{thread}")]);
    let [row] = rows.as_slice() else { panic!("{thread}: {rows:#?}") };
    assert_eq!((row.value("threads"), row.text("thread")), (1, Some(thread)));
    assert_eq!(row.text("lock"), Some(format!("of_{other}").as_str()));
}

/// Two threads of which each holds a lock of this kind, by `hold`, and waits for the other one's, by
/// `wait`. Their functions say their names, or those of the same code would be one.
macro_rules! stuck {
    ($($left:ident $right:ident: $lock:expr, $hold:expr, $wait:expr;)*) => {
        $(
            #[inline(never)]
            fn $left(f: impl FnOnce()) {
                f();
                black_box(stringify!($left));
            }

            #[inline(never)]
            fn $right(f: impl FnOnce()) {
                f();
                black_box(stringify!($right));
            }
        )*

        /// Starts all of them, and gives their names.
        pub(super) fn all_stuck() -> Vec<[&'static str; 2]> {
            vec![$({
                let left = Arc::new(profile_mutex!(concat!("of_", stringify!($left)), $lock));
                let right = Arc::new(profile_mutex!(concat!("of_", stringify!($right)), $lock));
                let meet = Arc::new(Barrier::new(2));
                let (first, second, met) = (left.clone(), right.clone(), meet.clone());
                named(stringify!($left), move || $left(|| {
                    let held = call(&*first, $hold);
                    met.wait();
                    black_box((&held, &call(&*second, $wait)));
                }));
                let (first, second, met) = (right, left, meet);
                named(stringify!($right), move || $right(|| {
                    let held = call(&*first, $hold);
                    met.wait();
                    black_box((&held, &call(&*second, $wait)));
                }));
                [stringify!($left), stringify!($right)]
            }),*]
        }
    };
}

/// Lets the compiler know what the closure is given.
#[inline(always)]
fn call<'a, L, G>(lock: &'a L, f: impl FnOnce(&'a L) -> G) -> G {
    f(lock)
}

fn named(name: &str, f: impl FnOnce() + Send + 'static) {
    assert!(name.len() < 16, "the kernel cuts {name}");
    thread::Builder::new().name(name.to_owned()).spawn(f).unwrap();
}

mod alone_held {
    use super::*;

    stuck! {
        std_left std_right: std::sync::Mutex::new(1), |l| l.lock().unwrap(), |l| l.lock().unwrap();
        std_rw_left std_rw_right: std::sync::RwLock::new(1), |l| l.write().unwrap(), |l| l.read().unwrap();
        p12_left p12_right: ::parking_lot::Mutex::new(1), |l| l.lock(), |l| l.lock();
        p12_fair_left p12_fair_right: ::parking_lot::FairMutex::new(1), |l| l.lock(), |l| l.lock();
        p12_re_left p12_re_right: ::parking_lot::ReentrantMutex::new(1), |l| l.lock(), |l| l.lock();
        p12_rw_left p12_rw_right: ::parking_lot::RwLock::new(1), |l| l.write(), |l| l.read();
        p12_ww_left p12_ww_right: ::parking_lot::RwLock::new(1), |l| l.try_write().unwrap(), |l| l.write();
        p12_wu_left p12_wu_right: ::parking_lot::RwLock::new(1), |l| l.write(), |l| l.upgradable_read();
        p13_left p13_right: ::parking_lot_0_13::Mutex::new(1), |l| l.lock(), |l| l.lock();
        p13_fair_left p13_fair_right: ::parking_lot_0_13::FairMutex::new(1), |l| l.lock(), |l| l.lock();
        p13_re_left p13_re_right: ::parking_lot_0_13::ReentrantMutex::new(1), |l| l.lock(), |l| l.lock();
        p13_rw_left p13_rw_right: ::parking_lot_0_13::RwLock::new(1), |l| l.write(), |l| l.read();
        p13_ww_left p13_ww_right: ::parking_lot_0_13::RwLock::new(1), |l| l.try_write().unwrap(), |l| l.write();
        p13_wu_left p13_wu_right: ::parking_lot_0_13::RwLock::new(1), |l| l.write(), |l| l.upgradable_read();
        p13_rec_left p13_rec_right: ::parking_lot_0_13::RecursiveRwLock::new(1), |l| l.write(), |l| l.read();
        tokio_left tokio_right: ::tokio::sync::Mutex::new(1), |l| l.blocking_lock(), |l| l.blocking_lock();
        tokio_rw_left tokio_rw_right: ::tokio::sync::RwLock::new(1), |l| l.blocking_write(), |l| l.blocking_read();
        tokio_ww_left tokio_ww_right: ::tokio::sync::RwLock::new(1), |l| l.blocking_write(), |l| l.blocking_write();
    }
}

mod shared_with_others {
    use super::*;

    stuck! {
        std_r_left std_r_right: std::sync::RwLock::new(1), |l| l.read().unwrap(), |l| l.write().unwrap();
        p12_r_left p12_r_right: ::parking_lot::RwLock::new(1), |l| l.read(), |l| l.write();
        p12_rr_left p12_rr_right: ::parking_lot::RwLock::new(1), |l| l.read_recursive(), |l| l.write();
        p12_u_left p12_u_right: ::parking_lot::RwLock::new(1), |l| l.upgradable_read(), |l| l.upgradable_read();
        p12_d_left p12_d_right: ::parking_lot::RwLock::new(1), |l| parking_lot::RwLockWriteGuard::downgrade(l.write()), |l| l.write();
        p13_r_left p13_r_right: ::parking_lot_0_13::RwLock::new(1), |l| l.read(), |l| l.write();
        p13_u_left p13_u_right: ::parking_lot_0_13::RwLock::new(1), |l| l.upgradable_read(), |l| l.upgradable_read();
        p13_d_left p13_d_right: ::parking_lot_0_13::RwLock::new(1), |l| parking_lot_0_13::RwLockWriteGuard::downgrade(l.write()), |l| l.write();
        p13_rec_r_l p13_rec_r_r: ::parking_lot_0_13::RecursiveRwLock::new(1), |l| l.read(), |l| l.write();
    }
}

fn are_told(pairs: &[[&str; 2]], checks: bool) {
    let text = until(&format!("# {} deadlocks, ", pairs.len()));
    for [left, right] in pairs {
        is_stuck(&text, left, right, checks);
        is_stuck(&text, right, left, checks);
    }
    assert_eq!(read("deadlock").total("threads"), 2 * pairs.len() as i64);
}

#[test]
fn two_threads_and_each_kind_of_lock() {
    alone("two_threads_and_each_kind_of_lock", || are_told(&alone_held::all_stuck(), false));
}

#[test]
fn two_threads_and_where_each_took_its_lock() {
    alone("two_threads_and_where_each_took_its_lock", || {
        check_order(true);
        let mut pairs = alone_held::all_stuck();
        pairs.extend(shared_with_others::all_stuck());
        are_told(&pairs, true);
    });
}

/// One reads and waits for what another holds, who waits to write what the first one reads.
macro_rules! upgrades {
    ($test:ident, $lock:ident, $reader:ident, $writer:ident) => {
        #[inline(never)]
        fn $reader(f: impl FnOnce()) {
            f();
            black_box(stringify!($reader));
        }

        #[inline(never)]
        fn $writer(f: impl FnOnce()) {
            f();
            black_box(stringify!($writer));
        }

        #[test]
        fn $test() {
            alone(stringify!($test), || {
                check_order(true);
                let shared =
                    Arc::new(profile_mutex!(concat!("of_", stringify!($reader)), ::$lock::RwLock::new(1)));
                let own =
                    Arc::new(profile_mutex!(concat!("of_", stringify!($writer)), ::$lock::Mutex::new(1)));
                let meet = Arc::new(Barrier::new(2));
                let (shared_too, own_too, meet_too) = (shared.clone(), own.clone(), meet.clone());
                named(stringify!($reader), move || {
                    $reader(|| {
                        let held = shared.read();
                        meet.wait();
                        black_box((&held, &own.lock()));
                    })
                });
                named(stringify!($writer), move || {
                    $writer(|| {
                        let held = own_too.lock();
                        let up = shared_too.upgradable_read();
                        meet_too.wait();
                        black_box((&held, &$lock::RwLockUpgradableReadGuard::upgrade(up)));
                    })
                });
                let text = until("# 1 deadlock, ");
                is_stuck(&text, stringify!($reader), stringify!($writer), true);
                is_stuck(&text, stringify!($writer), stringify!($reader), true);
            });
        }
    };
}

upgrades!(who_upgrades_waits_for_readers, parking_lot, reads_12, upgrades_12);
upgrades!(who_upgrades_waits_for_readers_of_0_13, parking_lot_0_13, reads_13, upgrades_13);

/// A reader that comes again while somebody waits to write waits for that one, who waits for it.
macro_rules! reads_again {
    ($test:ident, $lock:expr, $read:expr, $write:expr) => {
        #[test]
        fn $test() {
            alone(stringify!($test), || {
                check_order(true);
                let shared = Arc::new(profile_mutex!("read again", $lock));
                let (writes, reads) = (shared.clone(), shared);
                let meet = Arc::new(Barrier::new(2));
                let held = meet.clone();
                named("writes", move || {
                    held.wait();
                    black_box(&call(&*writes, $write));
                });
                named("reads twice", move || {
                    let once = call(&*reads, $read);
                    meet.wait();
                    while !text("deadlock", 2).contains("# thread \"writes\" (") {
                        thread::sleep(Duration::from_millis(1));
                    }
                    black_box((&once, &call(&*reads, $read)));
                });
                let text = until("# 1 deadlock, ");
                let reader = told_of(&text, "reads twice");
                assert!(reader[0].contains(", behind \"writes\" ("), "{text}");
                assert!(reader.iter().any(|line| line.starts_with("# it holds read again (")), "{text}");
                let writer = told_of(&text, "writes");
                assert!(writer[0].contains("held by \"reads twice\" ("), "{text}");
                assert!(!writer.iter().any(|line| line.contains("it holds")), "{text}");
                assert_eq!(read("deadlock").total("threads"), 2);
            });
        }
    };
}

reads_again!(a_reader_comes_again, std::sync::RwLock::new(1), |l| l.read().unwrap(), |l| l.write().unwrap());
reads_again!(a_reader_comes_again_to_0_12, ::parking_lot::RwLock::new(1), |l| l.read(), |l| l.write());
reads_again!(a_reader_comes_again_to_0_13, ::parking_lot_0_13::RwLock::new(1), |l| l.read(), |l| l.write());

/// Reads, writes, upgrades and downgrades, always in one order, while their order is looked at: nothing is reported. The
/// last is a lock that one has upgradable and another one wants so, while a third one reads and waits for the second:
/// that one only waits for the first.
#[test]
fn readers_and_writers_that_go_on_are_left_alone() {
    alone("readers_and_writers_that_go_on_are_left_alone", || {
        check_order(true);
        let told = Arc::new(std::sync::Mutex::new(Vec::new()));
        let into = told.clone();
        let _watch = profiled::deadlock::watch(Duration::from_millis(1), move |cycle| {
            into.lock().unwrap().push(cycle.to_string());
        });
        let std = profile_mutex!("on/std", std::sync::RwLock::new(0));
        let first = profile_mutex!("on/first", ::parking_lot::RwLock::new(0));
        let second = profile_mutex!("on/second", ::parking_lot_0_13::RwLock::new(0));
        let sent = profile_mutex!("on/sent", ::tokio::sync::RwLock::new(0));
        let last = profile_mutex!("on/last", ::parking_lot::Mutex::new(0));
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for n in 0..6_u64 {
                let (std, first, second, sent, last, done) = (&std, &first, &second, &sent, &last, &done);
                scope.spawn(move || {
                    let mut random = n;
                    while !done.load(Relaxed) {
                        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                        let what = |shift: u32| random >> shift & 3;
                        match what(60) {
                            0 => *std.write().unwrap() += 1,
                            1 => _ = black_box(sent.blocking_read()),
                            2 => *sent.blocking_write() += 1,
                            _ => _ = black_box(std.read().unwrap()),
                        }
                        match what(56) {
                            0 => {
                                let up = first.upgradable_read();
                                let write = parking_lot::RwLockUpgradableReadGuard::upgrade(up);
                                let read = parking_lot::RwLockWriteGuard::downgrade(write);
                                black_box((&read, &last.lock()));
                            }
                            1 => _ = black_box((&first.upgradable_read(), &last.lock())),
                            2 => _ = black_box((&first.write(), &second.read(), &last.lock())),
                            _ => {
                                let read = first.read();
                                black_box((&read, &first.read_recursive(), &second.read(), &last.lock()));
                            }
                        }
                        match what(52) {
                            0 => {
                                let up = second.upgradable_read();
                                let write = parking_lot_0_13::RwLockUpgradableReadGuard::upgrade(up);
                                let up = parking_lot_0_13::RwLockWriteGuard::downgrade_to_upgradable(write);
                                black_box((&up, &last.lock()));
                            }
                            1 => _ = black_box((&second.upgradable_read(), &last.lock())),
                            2 => _ = black_box((&second.write(), &last.lock())),
                            _ => _ = black_box((&second.read(), &last.lock())),
                        }
                    }
                });
            }
            let begin = Instant::now();
            while begin.elapsed() < stress() {
                let profile = read("deadlock");
                if !profile.samples().is_empty() {
                    done.store(true, Relaxed);
                    panic!("{profile:?}\n{}", text("deadlock", 2));
                }
            }
            done.store(true, Relaxed);
        });
        assert!(told.lock().unwrap().is_empty(), "{told:?}");
        let all = text("deadlock", 1);
        assert!(all.contains("# 0 deadlocks, 0 lock order inversions; 0 waiting"), "{all}");

        let (shared, own) = (&first, &last);
        let meet = Barrier::new(4);
        let (go, waits) = (&AtomicBool::new(false), |thread: &str| {
            let begin = Instant::now();
            while !text("deadlock", 2).contains(&format!("# thread \"{thread}\" (")) {
                assert!(begin.elapsed() < Duration::from_secs(60), "{thread} does not wait");
                thread::sleep(Duration::from_millis(1));
            }
        });
        thread::scope(|scope| {
            let meet = &meet;
            spawn(scope, "has it", move || {
                let up = shared.upgradable_read();
                meet.wait();
                while !go.load(Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                }
                black_box(&up);
            });
            spawn(scope, "wants it, too", move || {
                let held = own.lock();
                meet.wait();
                black_box((&held, &shared.upgradable_read()));
            });
            spawn(scope, "reads it", move || {
                let held = shared.read();
                meet.wait();
                black_box((&held, &own.lock()));
            });
            meet.wait();
            waits("reads it");
            waits("wants it, too");
            let all = text("deadlock", 2);
            go.store(true, Relaxed);
            assert!(all.contains("# 0 deadlocks, "), "{all}");
            let line = all.lines().find(|line| line.starts_with("# thread \"wants it, too\"")).unwrap();
            assert!(line.contains("held by \"has it\" (") && !line.contains("reads it"), "{all}");
        });
    });
}

fn spawn<'s>(scope: &'s thread::Scope<'s, '_>, name: &str, f: impl FnOnce() + Send + 's) {
    thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, f).unwrap();
}
