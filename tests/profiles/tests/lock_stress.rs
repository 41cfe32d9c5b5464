//! Sixteen threads at every kind of lock: no update is lost, and no charge, for as long as it takes
//! (`PROFILED_STRESS_SECONDS`).
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use profiled::{parking_lot, parking_lot_0_13, profile_mutex, sync, tokio::sync as asynchronous};
use profiled_test_profiles::{alone, read, stress};

const THREADS: u64 = 16;
/// How long they are at it before the books are compared.
const ROUND: Duration = Duration::from_millis(400);

/// Numbers by chance, from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

macro_rules! parking_lots {
    ($($family:ident: $ours:ident, $origin:ident, $name:literal;)*) => {$(
        /// Those of one version.
        struct $family {
            mutex: $ours::Mutex<u64>,
            fair: $ours::FairMutex<u64>,
            reentrant: $ours::ReentrantMutex<Cell<u64>>,
            rwlock: $ours::RwLock<u64>,
            flag: $ours::Mutex<bool>,
            ready: $ours::Condvar,
        }

        impl $family {
            fn new() -> $family {
                $family {
                    mutex: profile_mutex!(concat!("mutex of ", $name), $origin::Mutex::new(0)),
                    fair: profile_mutex!(concat!("fair of ", $name), $origin::FairMutex::new(0)),
                    reentrant: profile_mutex!(concat!("reentrant of ", $name), $origin::ReentrantMutex::new(Cell::new(0))),
                    rwlock: profile_mutex!(concat!("rwlock of ", $name), $origin::RwLock::new(0)),
                    flag: profile_mutex!(concat!("flag of ", $name), $origin::Mutex::new(false)),
                    ready: $ours::Condvar::new(),
                }
            }

            /// One step by chance: gives the updates that it made.
            fn step(&self, seen: &Seen, chance: &mut Chance) -> u64 {
                let hold = hold(chance);
                match chance.below(10) {
                    0 => {
                        let mut guard = seen.wait(|| self.mutex.lock());
                        *guard += 1;
                        hold();
                    }
                    1 => {
                        let mut guard = seen.wait(|| self.fair.lock());
                        *guard += 1;
                        hold();
                    }
                    2 => {
                        let (guard, again) = (seen.wait(|| self.reentrant.lock()), self.reentrant.lock());
                        guard.set(again.get() + 1);
                        hold();
                        drop(again);
                        $ours::ReentrantMutexGuard::unlock_fair(guard);
                    }
                    3 => {
                        let mut guard = seen.wait(|| self.rwlock.write());
                        *guard += 1;
                        hold();
                        let guard = $ours::RwLockWriteGuard::downgrade(guard);
                        assert!(*guard > 0);
                    }
                    4 => {
                        let guard = seen.wait(|| self.rwlock.upgradable_read());
                        let value = *guard;
                        hold();
                        let mut guard = seen.wait(|| $ours::RwLockUpgradableReadGuard::upgrade(guard));
                        *guard = value + 1;
                    }
                    5 => {
                        let guard = seen.wait(|| self.rwlock.read());
                        hold();
                        let _ = std::hint::black_box(*guard);
                        return 0;
                    }
                    6 => {
                        let time = Duration::from_micros(chance.below(500));
                        let Some(mut guard) = seen.wait(|| self.mutex.try_lock_for(time)) else { return seen.gave_up() };
                        *guard += 1;
                        hold();
                    }
                    7 => {
                        let Some(mut guard) = seen.wait(|| self.rwlock.try_write_for(Duration::from_micros(200))) else { return seen.gave_up() };
                        *guard += 1;
                    }
                    8 => {
                        *seen.wait(|| self.flag.lock()) ^= true;
                        self.ready.notify_all();
                        return 0;
                    }
                    _ => {
                        let mut guard = seen.wait(|| self.flag.lock());
                        if !*guard {
                            self.ready.wait_for(&mut guard, Duration::from_micros(300));
                        }
                        return 0;
                    }
                }
                1
            }

            fn updates(&self) -> u64 {
                *self.mutex.lock() + *self.fair.lock() + self.reentrant.lock().get() + *self.rwlock.read()
            }
        }
    )*};
}

parking_lots! {
    Older: parking_lot, origin_0_12, "0.12";
    Newer: parking_lot_0_13, origin_0_13, "0.13";
}
use ::parking_lot as origin_0_12;
use ::parking_lot_0_13 as origin_0_13;

/// Those of the standard library.
struct Standard {
    mutex: sync::Mutex<u64>,
    rwlock: sync::RwLock<u64>,
    flag: sync::Mutex<bool>,
    ready: sync::Condvar,
}

impl Standard {
    fn step(&self, seen: &Seen, chance: &mut Chance) -> u64 {
        let hold = hold(chance);
        match chance.below(6) {
            0 | 1 => {
                let mut guard = seen.wait(|| self.mutex.lock()).unwrap();
                *guard += 1;
                hold();
            }
            2 => {
                let mut guard = seen.wait(|| self.rwlock.write()).unwrap();
                *guard += 1;
                hold();
            }
            3 => {
                let guard = seen.wait(|| self.rwlock.read()).unwrap();
                hold();
                let _ = std::hint::black_box(*guard);
                return 0;
            }
            4 => {
                *seen.wait(|| self.flag.lock()).unwrap() ^= true;
                self.ready.notify_all();
                return 0;
            }
            _ => {
                let guard = seen.wait(|| self.flag.lock()).unwrap();
                if !*guard {
                    drop(self.ready.wait_timeout(guard, Duration::from_micros(300)));
                }
                return 0;
            }
        }
        1
    }

    fn updates(&self) -> u64 {
        *self.mutex.lock().unwrap() + *self.rwlock.read().unwrap()
    }
}

/// Those of `tokio`: by threads that wait, and by tasks that may give up.
struct Tokio {
    mutex: Arc<asynchronous::Mutex<u64>>,
    rwlock: Arc<asynchronous::RwLock<u64>>,
    permits: Arc<asynchronous::Semaphore>,
    /// What the permit is for: never more than one at it.
    guarded: AtomicU64,
}

impl Tokio {
    fn step(&self, seen: &Seen, chance: &mut Chance, runtime: &tokio::runtime::Runtime) -> u64 {
        let hold = hold(chance);
        let time = Duration::from_micros(chance.below(3000));
        match chance.below(9) {
            0 => {
                let mut guard = seen.wait(|| self.mutex.blocking_lock());
                *guard += 1;
                hold();
            }
            1 => {
                let mut guard = seen.wait(|| self.rwlock.blocking_write());
                *guard += 1;
                hold();
                assert!(*guard.downgrade() > 0);
            }
            2 => {
                let guard = seen.wait(|| self.rwlock.blocking_read());
                hold();
                let _ = std::hint::black_box(*guard);
                return 0;
            }
            3 => {
                let permit = seen.wait(|| self.permits.blocking_acquire()).unwrap();
                let value = self.guarded.load(Relaxed);
                hold();
                self.guarded.store(value + 1, Relaxed);
                drop(permit);
            }
            4 => {
                let wait = async { tokio::time::timeout(time, seen.polls(self.mutex.lock())).await };
                let Ok(mut guard) = runtime.block_on(wait) else { return seen.gave_up() };
                *guard += 1;
                hold();
            }
            5 => {
                let lock = self.mutex.clone();
                let mut guard = runtime.block_on(seen.polls(lock.lock_owned()));
                *guard += 1;
                hold();
            }
            6 => {
                let lock = self.rwlock.clone();
                let wait = async { tokio::time::timeout(time, seen.polls(lock.write_owned())).await };
                let Ok(mut guard) = runtime.block_on(wait) else { return seen.gave_up() };
                *guard += 1;
            }
            7 => {
                let permits = self.permits.clone();
                let wait = async { tokio::time::timeout(time, seen.polls(permits.acquire_owned())).await };
                let Ok(permit) = runtime.block_on(wait) else { return seen.gave_up() };
                let value = self.guarded.load(Relaxed);
                hold();
                self.guarded.store(value + 1, Relaxed);
                drop(permit);
            }
            _ => {
                let wait = async { tokio::time::timeout(time, seen.polls(self.rwlock.read())).await };
                return if runtime.block_on(wait).is_ok() { 0 } else { seen.gave_up() };
            }
        }
        1
    }

    fn updates(&self) -> u64 {
        *self.mutex.blocking_lock() + *self.rwlock.blocking_read() + self.guarded.load(Relaxed)
    }
}

/// Half of all holds take some 200 us, so that others wait; the others are as short as can be.
fn hold(chance: &mut Chance) -> impl Fn() + use<> {
    let time = if chance.below(2) == 0 { 50 + chance.below(300) } else { 0 };
    move || {
        if time > 0 {
            thread::sleep(Duration::from_micros(time));
        }
    }
}

/// Nanoseconds that the threads themselves saw pass where they may have waited, and how often one gave up.
#[derive(Default)]
struct Seen(AtomicU64, AtomicU64);

impl Seen {
    fn wait<R>(&self, wait: impl FnOnce() -> R) -> R {
        let begin = Instant::now();
        let result = wait();
        self.0.fetch_add(begin.elapsed().as_nanos() as u64, Relaxed);
        result
    }

    /// Gave up, and made no update.
    fn gave_up(&self) -> u64 {
        self.1.fetch_add(1, Relaxed);
        0
    }

    /// A future's wait, however it ends.
    async fn polls<F: Future>(&self, future: F) -> F::Output {
        struct Since<'a>(Instant, &'a Seen);
        impl Drop for Since<'_> {
            fn drop(&mut self) {
                self.1.0.fetch_add(self.0.elapsed().as_nanos() as u64, Relaxed);
            }
        }
        let _since = Since(Instant::now(), self);
        future.await
    }
}

/// What is booked at who waited for a lock, and what is charged for it: nanoseconds, and how often.
fn books() -> [[f64; 2]; 2] {
    ["block", "mutex"].map(|name| {
        let profile = read(name);
        let ours = || profile.samples().iter().filter(|sample| sample.text("lock").is_some());
        ["delay", "contentions"].map(|value| ours().map(|sample| sample.value(value) as f64).sum())
    })
}

#[test]
fn sixteen_threads_at_all_kinds() {
    alone("sixteen_threads_at_all_kinds", || {
        profiled::block::set_rate(1);
        profiled::mutex::set_fraction(1);
        let standard = Standard {
            mutex: profile_mutex!("mutex of std", std::sync::Mutex::new(0)),
            rwlock: profile_mutex!("rwlock of std", std::sync::RwLock::new(0)),
            flag: profile_mutex!("flag of std", std::sync::Mutex::new(false)),
            ready: sync::Condvar::new(),
        };
        let (old, new) = (Older::new(), Newer::new());
        let tokio = Tokio {
            mutex: Arc::new(profile_mutex!("mutex of tokio", ::tokio::sync::Mutex::new(0))),
            rwlock: Arc::new(profile_mutex!("rwlock of tokio", ::tokio::sync::RwLock::new(0))),
            permits: Arc::new(asynchronous::Semaphore::new(1)),
            guarded: AtomicU64::new(0),
        };
        let (end, mut rounds, mut off, mut worst) = (Instant::now() + stress(), 0_u64, 0_u64, 0.0_f64);
        let mut updates = 0;
        while Instant::now() < end || rounds < 4 {
            rounds += 1;
            let (before, seen) = (books(), Seen::default());
            let (sender, receiver) = mpsc::channel();
            let end = Instant::now() + ROUND;
            thread::scope(|scope| {
                for thread in 0..THREADS {
                    let (standard, old, new, tokio, seen) = (&standard, &old, &new, &tokio, &seen);
                    let sender = sender.clone();
                    scope.spawn(move || {
                        let runtime =
                            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                        let mut chance = Chance(rounds * THREADS + thread);
                        let mut made = 0;
                        while Instant::now() < end {
                            made += match chance.below(4) {
                                0 => standard.step(seen, &mut chance),
                                1 => old.step(seen, &mut chance),
                                2 => new.step(seen, &mut chance),
                                _ => tokio.step(seen, &mut chance, &runtime),
                            };
                        }
                        sender.send(made).unwrap();
                    });
                }
            });
            drop(sender);
            updates += receiver.iter().sum::<u64>();
            let found = standard.updates() + old.updates() + new.updates() + tokio.updates();
            assert_eq!(found, updates, "after {rounds} rounds");
            // The books are of one ledger, in moments of 50 ns, and at these rates each wait counts as one; who gave up was
            // let in by nobody.
            let after = books();
            let [block, mutex] =
                [0, 1].map(|which| [0, 1].map(|value| after[which][value] - before[which][value]));
            let let_in = block[1] - seen.1.load(Relaxed) as f64;
            assert!(
                let_in > 100.0 && (mutex[1] - let_in).abs() < 0.5,
                "{rounds}: {mutex:?} {block:?}, {let_in}"
            );
            assert!((mutex[0] / block[0] - 1.0).abs() < 0.005, "{rounds}: {mutex:?} {block:?}");
            // Between the threads' clocks and ours are the calls themselves, and whatever the machine does in between.
            let error = seen.0.into_inner() as f64 / block[0] - 1.0;
            off += u64::from(error.abs() > 0.05);
            worst = worst.max(error.abs());
            assert!(error > -0.005, "{rounds}: more is booked than was waited: {error}");
        }
        println!("{rounds} rounds, {updates} updates, {off} off by more than 5 %, at worst {worst:.3}");
        assert!(off * 4 <= rounds, "{off} of {rounds} off, by up to {worst}");
    });
}
