//! Every kind of lock that a thread holds and another one waits for: who waits for whom is told of each, with stacks of both.
#![allow(clippy::significant_drop_tightening)] // they are held on purpose
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use profiled::deadlock::check_order;
use profiled::{parking_lot, parking_lot_0_13, profile_mutex};
use profiled_test_profiles::{alone, read, text};

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
    let is_there = |line: &&str| line.contains(&format!("::{thread}"));
    assert!(waits.iter().any(|line| is_there(&line)), "where it waits: {lines:#?}");
    let taken = holds.iter().skip(1).any(|line| is_there(&line));
    assert_eq!(taken, checks, "where it took it: {lines:#?}");
    let profile = read("deadlock");
    let rows = profile.find(&[&format!("::{thread}")]);
    let [row] = rows.as_slice() else { panic!("{thread}: {rows:#?}") };
    assert_eq!((row.value("threads"), row.text("thread")), (1, Some(thread)));
    assert_eq!(row.text("lock"), Some(format!("of_{other}").as_str()));
}

/// Two threads of which each holds a lock of this kind, by `hold`, and waits for the other one's, by `wait`.
macro_rules! stuck {
    ($($left:ident $right:ident: $lock:expr, $hold:expr, $wait:expr;)*) => {
        $(
            #[inline(never)]
            fn $left(f: impl FnOnce()) {
                f();
                black_box(());
            }

            #[inline(never)]
            fn $right(f: impl FnOnce()) {
                f();
                black_box(());
            }
        )*

        /// Starts all of them, and gives their names.
        pub fn all_stuck() -> Vec<[&'static str; 2]> {
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
            black_box(());
        }

        #[inline(never)]
        fn $writer(f: impl FnOnce()) {
            f();
            black_box(());
        }

        #[test]
        fn $test() {
            alone(stringify!($test), || {
                check_order(true);
                let shared = Arc::new(profile_mutex!(concat!("of_", stringify!($reader)), ::$lock::RwLock::new(1)));
                let own = Arc::new(profile_mutex!(concat!("of_", stringify!($writer)), ::$lock::Mutex::new(1)));
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
