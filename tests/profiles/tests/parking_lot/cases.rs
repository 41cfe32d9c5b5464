// The locks of one version of `parking_lot`: included for each, in a module that says which by `VERSION`, `named!`, `origin`
// and `ours`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use super::{Waits, all_of_it, comes_out, queue, sums};
use profiled::profile_mutex;
use profiled_test_profiles::{alone, read};

/// A test of this version.
fn case(name: &str, case: impl FnOnce()) {
    alone(&format!("{VERSION}::{name}"), case);
}

macro_rules! sides {
    ($($holds:ident: |$lock:ident: $type:ty, $inside:ident| $hold:expr; $waits:ident: $wait:expr;)*) => {$(
        #[inline(never)]
        fn $holds($lock: &$type, $inside: &dyn Fn()) { $hold }
        #[inline(never)]
        fn $waits($lock: &$type) { $wait }
    )*};
}

sides! {
    mutex_holds: |lock: ours::Mutex<u64>, inside| {
        let mut guard = lock.lock();
        *guard += 1;
        inside();
    };
    mutex_waits: *lock.lock() += 1;
    mapped_holds: |lock: ours::FairMutex<u64>, inside| {
        let mut guard = ours::FairMutexGuard::map(lock.lock(), |value| value);
        *guard += 1;
        inside();
        ours::MappedFairMutexGuard::unlock_fair(guard);
    };
    mapped_waits: *lock.try_lock_for(Duration::from_secs(60)).unwrap() += 1;
    bumps_holds: |lock: ours::Mutex<u64>, inside| {
        let mut guard = lock.lock();
        *guard += 1;
        inside();
        ours::MutexGuard::bump(&mut guard);
    };
    bumps_waits: *lock.try_lock_until(Instant::now() + Duration::from_secs(60)).unwrap() += 1;
    fair_holds: |lock: ours::ReentrantMutex<u64>, inside| {
        let (guard, again) = (lock.lock(), lock.lock());
        inside();
        drop(again);
        ours::ReentrantMutexGuard::unlock_fair(guard);
    };
    fair_waits: drop(lock.lock());
    write_holds: |lock: ours::RwLock<u64>, inside| {
        *lock.write() += 1;
        let upgradable = lock.upgradable_read();
        let mut guard = ours::RwLockUpgradableReadGuard::upgrade(upgradable);
        *guard += 1;
        let mapped = ours::RwLockWriteGuard::map(guard, |value| value);
        inside();
        drop(mapped);
    };
    read_waits: drop(lock.read());
    read_holds: |lock: ours::RwLock<u64>, inside| {
        let guard = ours::RwLockReadGuard::map(lock.read(), |value| value);
        inside();
        drop(guard);
    };
    write_waits: *lock.write() += 1;
    shared_holds: |lock: ours::RwLock<u64>, inside| {
        let guard = lock.read();
        inside();
        drop(guard);
    };
    upgrade_waits: {
        let mut upgradable = lock.upgradable_read();
        for _ in 0..3 {
            match ours::RwLockUpgradableReadGuard::try_upgrade_for(upgradable, Duration::from_millis(1)) {
                Ok(mut guard) => {
                    *guard += 1;
                    return;
                }
                Err(guard) => upgradable = guard,
            }
        }
        *ours::RwLockUpgradableReadGuard::upgrade(upgradable) += 1;
    };
    downgrade_holds: |lock: ours::RwLock<u64>, inside| {
        let guard = lock.write();
        inside();
        let guard = ours::RwLockWriteGuard::downgrade_to_upgradable(guard);
        ours::RwLockReadGuard::unlock_fair(ours::RwLockUpgradableReadGuard::downgrade(guard));
    };
    reader_waits: drop(lock.try_read_for(Duration::from_secs(60)).unwrap());
}

/// Who holds it by any way of holding is charged for what those wait who come by any way of waiting.
#[test]
fn holders_are_charged() {
    case("holders_are_charged", || {
        all_of_it();
        macro_rules! check {
            ($name:literal: $lock:expr, $holds:ident, $waits:ident) => {{
                let lock = profile_mutex!(named!($name), $lock);
                let held = queue(|inside| $holds(&lock, inside), || $waits(&lock));
                let [holds, waits] = [
                    concat!(module_path!(), "::", stringify!($holds)),
                    concat!(module_path!(), "::", stringify!($waits)),
                ];
                comes_out(sums(named!($name), holds, waits), held);
                lock.into_inner()
            }};
        }
        assert_eq!(check!("mutex": origin::Mutex::new(0), mutex_holds, mutex_waits), 40);
        assert_eq!(check!("mapped": origin::FairMutex::new(0), mapped_holds, mapped_waits), 40);
        assert_eq!(check!("bumped": origin::Mutex::new(0), bumps_holds, bumps_waits), 40);
        check!("reentrant": origin::ReentrantMutex::new(0), fair_holds, fair_waits);
        assert_eq!(check!("write": origin::RwLock::new(0), write_holds, read_waits), 40);
        assert_eq!(check!("read": origin::RwLock::new(0), read_holds, write_waits), 20);
        assert_eq!(check!("upgrade": origin::RwLock::new(0), shared_holds, upgrade_waits), 20);
        check!("downgrade": origin::RwLock::new(0), downgrade_holds, reader_waits);
    });
}

#[inline(never)]
fn condition_waits(lock: &ours::Mutex<u32>, condvar: &ours::Condvar, seen: &AtomicU64) {
    let mut guard = lock.lock();
    let waits = Waits(Instant::now(), seen);
    condvar.wait(&mut guard);
    drop(waits);
    *guard += 1;
}

/// Who waits to be notified has one event, from the call to its return: getting the lock again is part of it. Who waited
/// for the lock meanwhile was let in, and charges who waits to be notified for what it held it before.
#[test]
fn a_condition_variable_waits_once() {
    case("a_condition_variable_waits_once", || {
        all_of_it();
        let both = (profile_mutex!(named!("condition"), origin::Mutex::new(0)), ours::Condvar::new());
        let seen = AtomicU64::new(0);
        thread::scope(|scope| {
            scope.spawn(|| condition_waits(&both.0, &both.1, &seen));
            loop {
                let guard = both.0.lock();
                if both.1.notify_one() {
                    // Notified, it waits for the lock.
                    thread::sleep(Duration::from_millis(20));
                    drop(guard);
                    return;
                }
                drop(guard);
                thread::sleep(Duration::from_millis(1));
            }
        });
        assert_eq!(both.0.into_inner(), 1);
        let block = read("block");
        let rows = block.find(&[concat!(module_path!(), "::condition_waits")]);
        let unlocked = rows.iter().filter(|sample| sample.text("lock").is_none()).collect::<Vec<_>>();
        assert_eq!(unlocked.len(), 1, "{rows:?}");
        let (delay, seen) = (unlocked[0].value("delay"), seen.into_inner() as i64);
        assert_eq!(unlocked[0].value("contentions"), 1);
        assert!(delay >= 20_000_000 && delay <= seen && delay * 10 > seen * 8, "{delay} of {seen}");
    });
}

profile_mutex! {
    /// One in a static, as one would write it without us.
    pub static PLAIN: origin::Mutex<Vec<u32>> = origin::Mutex::new(Vec::new());
    static SHARED: origin::RwLock<u64> = origin::RwLock::new(1);
    static OURS: ours::Mutex<u64> = ours::Mutex::new(1);
}

/// In a static, too, they have their name, and their value is dropped as often as it was made.
#[test]
fn statics_are_profiled_by_their_names() {
    case("statics_are_profiled_by_their_names", || {
        all_of_it();
        let [plain, shared, ours] = [
            concat!(module_path!(), "::PLAIN"),
            concat!(module_path!(), "::SHARED"),
            concat!(module_path!(), "::OURS"),
        ];
        for name in [plain, shared, ours] {
            assert_eq!(profiled::lookup(name).expect("before its first use").count(), 0, "{name}");
        }
        PLAIN.lock().push(0);
        fn by_type(lock: &ours::Mutex<Vec<u32>>) -> usize {
            lock.lock().len()
        }
        thread::scope(|scope| (0..4).for_each(|n| _ = scope.spawn(move || PLAIN.lock().push(n))));
        assert_eq!(by_type(&PLAIN), 5);
        *OURS.lock() += 1;
        assert_eq!((*OURS.lock(), format!("{PLAIN:?}").contains("data: [0")), (2, true));
        let held = queue(|inside| mutex_holds(&OURS, inside), || mutex_waits(&OURS));
        let [holds, waits] =
            [concat!(module_path!(), "::mutex_holds"), concat!(module_path!(), "::mutex_waits")];
        comes_out(sums(ours, holds, waits), held);
        let held = queue(|inside| write_holds(&SHARED, inside), || read_waits(&SHARED));
        let [holds, waits] =
            [concat!(module_path!(), "::write_holds"), concat!(module_path!(), "::read_waits")];
        comes_out(sums(shared, holds, waits), held);
        assert!(profiled::lookup(shared).unwrap().count() >= 20);
    });
}

#[test]
fn the_api_is_its_own() {
    static LOCK: ours::Mutex<u32> = ours::Mutex::new(1);
    let guard = LOCK.lock();
    assert!(LOCK.is_locked() && LOCK.try_lock().is_none());
    assert!(LOCK.try_lock_for(Duration::from_millis(5)).is_none());
    assert!(LOCK.try_lock_until(Instant::now() + Duration::from_millis(5)).is_none());
    let mapped = ours::MutexGuard::map(guard, |value| value);
    assert_eq!(*mapped, 1);
    drop(mapped);
    ours::MutexGuard::unlock_fair(LOCK.lock());
    assert!(LOCK.try_lock_for(Duration::from_millis(5)).is_some());
    let lock = ours::RwLock::<u32>::default();
    let one = lock.read();
    assert!(lock.try_write().is_none() && lock.try_write_for(Duration::from_millis(2)).is_none());
    drop(one);
    let upgradable = lock.upgradable_read();
    let reader = lock.read();
    let Err(upgradable) = ours::RwLockUpgradableReadGuard::try_upgrade(upgradable) else {
        panic!("somebody reads");
    };
    drop(reader);
    assert!(ours::RwLockUpgradableReadGuard::try_upgrade(upgradable).is_ok());
    let shared = ours::RwLockWriteGuard::downgrade(lock.write());
    assert!(lock.try_read().is_some());
    drop(shared);
    let mut lock = ours::RwLock::from(3);
    *lock.get_mut() += 1;
    assert_eq!((format!("{lock:?}"), lock.into_inner()), (format!("{:?}", origin::RwLock::new(4)), 4));

    let both = (ours::Mutex::new(false), ours::Condvar::new());
    let mut guard = both.0.lock();
    assert!(both.1.wait_for(&mut guard, Duration::from_millis(2)).timed_out());
    assert!(both.1.wait_while_for(&mut guard, |done| !*done, Duration::from_millis(2)).timed_out());
    assert!(!both.1.wait_while_for(&mut guard, |done| *done, Duration::from_millis(2)).timed_out());
    thread::scope(|scope| {
        scope.spawn(|| {
            *both.0.lock() = true;
            both.1.notify_all();
        });
        both.1.wait_while(&mut guard, |done| !*done);
        assert!(*guard);
        drop(guard);
    });
}

/// What is dropped once without us is dropped once with us: used or not, taken out or not.
#[test]
fn values_are_dropped_once() {
    static DROPPED: AtomicU64 = AtomicU64::new(0);
    struct Counts;
    impl Drop for Counts {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Relaxed);
        }
    }
    profile_mutex! {
        static KEPT: origin::Mutex<Counts> = origin::Mutex::new(Counts);
    }
    drop(KEPT.lock());
    assert_eq!(DROPPED.load(Relaxed), 0);
    drop(profile_mutex!(named!("dropped"), origin::Mutex::new(Counts)));
    assert_eq!(DROPPED.load(Relaxed), 1);
    drop(profile_mutex!(named!("taken"), origin::ReentrantMutex::new(Counts)).into_inner());
    assert_eq!(DROPPED.load(Relaxed), 2);
}
