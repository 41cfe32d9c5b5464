//! What the standard library asks of its own locks, asked of ours: poison, tries, unsized values, spurious wake-ups, what
//! readers see. And every method of each, called as the tests of the switched-off state call it.
#![allow(unreachable_pub)] // of the files for the other state
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Barrier, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use profiled::sync::{Condvar, LazyLock, Mutex, Once, OnceLock, RwLock, RwLockWriteGuard, mpsc};
use profiled::{parking_lot, parking_lot_0_13, tokio::sync as asynchronous};

#[path = "../../off/src/methods/parking_lot.rs"]
mod methods_of_parking_lot;
#[path = "../../off/src/methods/parking_lot_0_13.rs"]
mod methods_of_parking_lot_0_13;
#[path = "../../off/src/methods/standard.rs"]
mod methods_of_std;
#[path = "../../off/src/methods/tokio.rs"]
mod methods_of_tokio;

#[test]
fn every_method_is_there() {
    methods_of_std::all();
    methods_of_parking_lot::all();
    methods_of_parking_lot_0_13::all();
    methods_of_tokio::all();
}

const SOME: Duration = Duration::from_millis(2);

/// Panics with something that is no surprise, and says nothing.
fn panics(what: impl FnOnce()) {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        what();
        resume_unwind(Box::new("on purpose"));
    }));
    assert!(outcome.is_err());
}

/// Does something when it is dropped, as while a thread unwinds.
struct Then<F: FnMut()>(F);

impl<F: FnMut()> Drop for Then<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// What holds of every mutex, however its guard is had.
macro_rules! mutexes {
    ($($name:ident: $new:expr, |$lock:ident| $hold:expr, $try:expr, $unsized:ty, $sized:expr;)*) => {$(
        mod $name {
            use super::*;

            /// Two at a time would lose something.
            #[test]
            fn one_at_a_time() {
                let $lock = $new(0_u32);
                let inside = AtomicU32::new(0);
                thread::scope(|scope| {
                    for _ in 0..6 {
                        scope.spawn(|| {
                            for n in 0..1000 {
                                let mut guard = $hold;
                                assert_eq!(inside.fetch_add(1, Relaxed), 0);
                                *guard += 1;
                                if n % 64 == 0 {
                                    thread::yield_now();
                                }
                                inside.fetch_sub(1, Relaxed);
                            }
                        });
                    }
                });
                assert_eq!(*$hold, 6000);
            }

            /// A try never waits, and takes nothing if it does not get it.
            #[test]
            fn a_try_fails_while_it_is_held() {
                let $lock = $new(1);
                let guard = $hold;
                assert!($try.is_none());
                thread::scope(|scope| {
                    assert!(scope.spawn(|| $try.is_none()).join().unwrap());
                });
                drop(guard);
                assert_eq!($try.map(|guard| *guard), Some(1));
                assert_eq!($try.map(|guard| *guard), Some(1));
            }

            /// What holds an unsized value works behind any pointer.
            #[test]
            fn values_may_be_unsized() {
                let $lock: $unsized = $sized;
                $hold[1] = 9;
                assert_eq!(*$hold, [1, 9, 3]);
            }

            /// Whoever unwinds may lock, and leaves the lock to others.
            #[test]
            fn who_unwinds_may_lock() {
                let $lock = $new(1);
                panics(|| {
                    let _then = Then(|| *$hold += 1);
                    resume_unwind(Box::new("on purpose"));
                });
                assert_eq!(*$hold, 2);
            }

            /// A lock in a value that a lock holds.
            #[test]
            fn locks_may_hold_locks() {
                let inner = Arc::new($new(1));
                let outer = $new(inner.clone());
                let (sender, receiver) = mpsc::channel();
                let $lock = outer;
                thread::scope(|scope| {
                    scope.spawn(move || {
                        let guard = $hold;
                        let $lock = &**guard;
                        assert_eq!(*$hold, 1);
                        sender.send(()).unwrap();
                    });
                    receiver.recv().unwrap();
                });
                assert_eq!(Arc::strong_count(&inner), 1);
            }
        }
    )*};
}

mutexes! {
    standard: Mutex::new, |lock| lock.lock().unwrap(), lock.try_lock().ok(),
        Arc<Mutex<[u8]>>, Arc::new(Mutex::new([1, 2, 3]));
    standard_writer: RwLock::new, |lock| lock.write().unwrap(), lock.try_write().ok(),
        Arc<RwLock<[u8]>>, Arc::new(RwLock::new([1, 2, 3]));
    parking_0_12: parking_lot::Mutex::new, |lock| lock.lock(), lock.try_lock(),
        Arc<parking_lot::Mutex<[u8]>>, Arc::new(parking_lot::Mutex::new([1, 2, 3]));
    parking_writer_0_12: parking_lot::RwLock::new, |lock| lock.write(), lock.try_write(),
        Arc<parking_lot::RwLock<[u8]>>, Arc::new(parking_lot::RwLock::new([1, 2, 3]));
    parking_fair_0_12: parking_lot::FairMutex::new, |lock| lock.lock(), lock.try_lock(),
        Arc<parking_lot::FairMutex<[u8]>>, Arc::new(parking_lot::FairMutex::new([1, 2, 3]));
    parking_0_13: parking_lot_0_13::Mutex::new, |lock| lock.lock(), lock.try_lock(),
        Arc<parking_lot_0_13::Mutex<[u8]>>, Arc::new(parking_lot_0_13::Mutex::new([1, 2, 3]));
    parking_writer_0_13: parking_lot_0_13::RwLock::new, |lock| lock.write(), lock.try_write(),
        Arc<parking_lot_0_13::RwLock<[u8]>>, Arc::new(parking_lot_0_13::RwLock::new([1, 2, 3]));
    parking_recursive_0_13: parking_lot_0_13::RecursiveRwLock::new, |lock| lock.write(), lock.try_write(),
        Arc<parking_lot_0_13::RecursiveRwLock<[u8]>>, Arc::new(parking_lot_0_13::RecursiveRwLock::new([1, 2, 3]));
    tokio_s: asynchronous::Mutex::new, |lock| lock.blocking_lock(), lock.try_lock().ok(),
        Arc<asynchronous::Mutex<[u8]>>, Arc::new(asynchronous::Mutex::new([1, 2, 3]));
    tokio_s_writer: asynchronous::RwLock::new, |lock| lock.blocking_write(), lock.try_write().ok(),
        Arc<asynchronous::RwLock<[u8]>>, Arc::new(asynchronous::RwLock::new([1, 2, 3]));
}

/// What holds of every lock that several may read: none of it depends on who is let in first.
macro_rules! reader_locks {
    ($($name:ident: $new:expr, |$lock:ident| $read:expr, $write:expr, $try_read:expr, $try_write:expr;)*) => {$(
        mod $name {
            use super::*;

            /// While one writes nobody reads, and what a reader sees stays for as long as it reads.
            #[test]
            fn readers_see_what_was_written_whole() {
                let $lock = $new([0_u32; 2]);
                thread::scope(|scope| {
                    for _ in 0..2 {
                        scope.spawn(|| {
                            for _ in 0..1000 {
                                let mut pair = $write;
                                pair[0] += 1;
                                thread::yield_now();
                                pair[1] += 1;
                            }
                        });
                    }
                    for _ in 0..4 {
                        scope.spawn(|| {
                            let mut last = 0;
                            for _ in 0..1000 {
                                let pair = $read;
                                let seen = *pair;
                                thread::yield_now();
                                assert!(seen[0] == seen[1] && *pair == seen && seen[0] >= last);
                                last = seen[0];
                            }
                        });
                    }
                });
                assert_eq!(*$read, [2000, 2000]);
            }

            /// Readers are there at once: each waits for all the others with the lock in hand.
            #[test]
            fn readers_share_it() {
                let $lock = $new(1);
                let all = Barrier::new(4);
                thread::scope(|scope| {
                    for _ in 0..4 {
                        scope.spawn(|| {
                            let guard = $read;
                            all.wait();
                            assert!($try_write.is_none());
                            all.wait();
                            drop(guard);
                        });
                    }
                });
                let guard = $write;
                assert!($try_read.is_none() && $try_write.is_none());
                drop(guard);
                let guard = $read;
                assert!($try_read.is_some());
                drop(guard);
            }
        }
    )*};
}

reader_locks! {
    readers_of_std: RwLock::new, |lock| lock.read().unwrap(), lock.write().unwrap(),
        lock.try_read().ok(), lock.try_write().ok();
    readers_of_0_12: parking_lot::RwLock::new, |lock| lock.read(), lock.write(), lock.try_read(), lock.try_write();
    readers_of_0_13: parking_lot_0_13::RwLock::new, |lock| lock.read(), lock.write(), lock.try_read(), lock.try_write();
    readers_of_tokio: asynchronous::RwLock::new, |lock| lock.blocking_read(), lock.blocking_write(),
        lock.try_read().ok(), lock.try_write().ok();
}

/// Whoever panics with a write in hand poisons the lock for all; whoever panics reading does not.
#[test]
fn writers_poison_and_readers_do_not() {
    let lock = RwLock::new(1);
    panics(|| {
        let _guard = lock.read().unwrap();
        resume_unwind(Box::new("on purpose"));
    });
    assert!(!lock.is_poisoned() && lock.read().is_ok() && lock.write().is_ok());
    panics(|| {
        let mut guard = lock.write().unwrap();
        *guard += 1;
        resume_unwind(Box::new("on purpose"));
    });
    assert!(lock.is_poisoned());
    assert_eq!(**lock.read().unwrap_err().get_ref(), 2);
    assert_eq!(**lock.write().unwrap_err().get_ref(), 2);
    assert!(matches!(lock.try_read(), Err(TryLockError::Poisoned(_))));
    assert!(matches!(lock.try_write(), Err(TryLockError::Poisoned(_))));
    lock.clear_poison();
    assert!(lock.read().is_ok() && !lock.is_poisoned());
    panics(|| {
        let _guard = lock.write().unwrap();
        resume_unwind(Box::new("on purpose"));
    });
    let mut lock = lock;
    assert_eq!(**lock.get_mut().unwrap_err().get_ref(), 2);
    assert_eq!(lock.into_inner().unwrap_err().into_inner(), 2);
}

/// A thread that panics while others wait for the lock, or to be notified, poisons what they get.
#[test]
fn who_waits_is_told_of_the_poison() {
    let both = (Mutex::new(false), Condvar::new());
    let waiting = AtomicBool::new(false);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut guard = both.0.lock().unwrap();
            waiting.store(true, Relaxed);
            while !*guard {
                guard = match both.1.wait(guard) {
                    Ok(guard) => guard,
                    Err(poisoned) => return *poisoned.into_inner(),
                };
            }
            panic!("it was poisoned before it was told")
        });
        while !waiting.load(Relaxed) {
            thread::yield_now();
        }
        panics(|| {
            let mut guard = both.0.lock().unwrap();
            *guard = true;
            both.1.notify_one();
            resume_unwind(Box::new("on purpose"));
        });
        assert!(waiter.join().unwrap());
    });
    // With each way to wait.
    let poisoned = || both.0.lock().unwrap_err().into_inner();
    assert!(both.1.wait_timeout(poisoned(), SOME).is_err());
    assert!(both.1.wait_timeout_while(poisoned(), SOME, |_| true).is_err());
}

/// `parking_lot` and `tokio` have no poison: whoever comes next goes on.
#[test]
fn others_do_not_poison() {
    let (old, new, tokio) =
        (parking_lot::Mutex::new(1), parking_lot_0_13::Mutex::new(1), asynchronous::Mutex::new(1));
    panics(|| {
        let _guards = (old.lock(), new.lock(), tokio.blocking_lock());
        resume_unwind(Box::new("on purpose"));
    });
    assert_eq!(*old.try_lock().unwrap() + *new.try_lock().unwrap() + *tokio.try_lock().unwrap(), 3);
}

/// A wake-up that means nothing is none for who waits for a condition; and each is woken.
#[test]
fn notified_for_nothing_it_goes_on_waiting() {
    let lock = Mutex::new(0_u32);
    let (old, new) = (parking_lot::Mutex::new(0_u32), parking_lot_0_13::Mutex::new(0_u32));
    let ready = (Condvar::new(), parking_lot::Condvar::new(), parking_lot_0_13::Condvar::new());
    let woken = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let guard = ready.0.wait_while(lock.lock().unwrap(), |value| *value < 100).unwrap();
                assert!(*guard >= 100);
                woken.fetch_add(1, Relaxed);
            });
            scope.spawn(|| {
                let mut guard = old.lock();
                ready.1.wait_while(&mut guard, |value| *value < 100);
                assert!(*guard >= 100);
                woken.fetch_add(1, Relaxed);
            });
            scope.spawn(|| {
                let mut guard = new.lock();
                ready.2.wait_while(&mut guard, |value| *value < 100);
                assert!(*guard >= 100);
                woken.fetch_add(1, Relaxed);
            });
        }
        for n in 1..=100 {
            assert_eq!(woken.load(Relaxed), 0, "at {}", n - 1);
            *lock.lock().unwrap() = n;
            *old.lock() = n;
            *new.lock() = n;
            ready.0.notify_all();
            ready.1.notify_all();
            ready.2.notify_all();
        }
    });
    assert_eq!(woken.load(Relaxed), 9);
}

/// Who is not notified waits as long as it said, and has the lock then.
#[test]
fn a_wait_ends_with_its_time() {
    let lock = Mutex::new(1);
    let condvar = Condvar::new();
    let begin = Instant::now();
    let (guard, result) = condvar.wait_timeout_while(lock.lock().unwrap(), SOME, |_| true).unwrap();
    assert!(result.timed_out() && begin.elapsed() >= SOME && lock.try_lock().is_err());
    drop(guard);
    let (old, new) = (parking_lot::Mutex::new(1), parking_lot_0_13::Mutex::new(1));
    let (condvar, other) = (parking_lot::Condvar::new(), parking_lot_0_13::Condvar::new());
    let (mut one, mut two) = (old.lock(), new.lock());
    let begin = Instant::now();
    assert!(condvar.wait_for(&mut one, SOME).timed_out() && begin.elapsed() >= SOME);
    let begin = Instant::now();
    assert!(other.wait_for(&mut two, SOME).timed_out() && begin.elapsed() >= SOME);
    assert!(old.try_lock().is_none() && new.try_lock().is_none());
    // Longer than a clock has room for is for ever, and no panic.
    thread::scope(|scope| {
        scope.spawn(|| while !condvar.notify_one() {});
        scope.spawn(|| while !other.notify_one() {});
        assert!(!condvar.wait_for(&mut one, Duration::MAX).timed_out());
        assert!(!other.wait_for(&mut two, Duration::MAX).timed_out());
    });
}

/// What the writer wrote is what it reads once it has let others read, and no writer comes between.
#[test]
#[allow(clippy::incompatible_msrv)] // ours is there where the standard library's is
fn nobody_writes_between_writing_and_reading() {
    let lock = RwLock::new(0_u32);
    let (old, new) = (parking_lot::RwLock::new(0_u32), parking_lot_0_13::RwLock::new(0_u32));
    let tokio = asynchronous::RwLock::new(0_u32);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let mut guard = lock.write().unwrap();
                    *guard += 1;
                    let wrote = *guard;
                    assert_eq!(*RwLockWriteGuard::downgrade(guard), wrote);
                    let mut guard = old.write();
                    *guard += 1;
                    let wrote = *guard;
                    assert_eq!(*parking_lot::RwLockWriteGuard::downgrade(guard), wrote);
                    let mut guard = new.write();
                    *guard += 1;
                    let wrote = *guard;
                    assert_eq!(*parking_lot_0_13::RwLockWriteGuard::downgrade(guard), wrote);
                    let mut guard = tokio.blocking_write();
                    *guard += 1;
                    let wrote = *guard;
                    assert_eq!(*guard.downgrade(), wrote);
                }
            });
        }
    });
    let all = *lock.read().unwrap() + *old.read() + *new.read() + *tokio.blocking_read();
    assert_eq!(all, 4 * 2000);
}

/// A reentrant lock is its thread's as often as that takes it, and nobody else's until it has given all back.
#[test]
fn a_reentrant_lock_is_its_threads() {
    macro_rules! check {
        ($($lock:expr),*) => {$(
            let lock = $lock;
            let (one, two) = (lock.lock(), lock.try_lock().unwrap());
            thread::scope(|scope| {
                let elsewhere = || scope.spawn(|| lock.try_lock().is_none()).join().unwrap();
                assert!(elsewhere());
                drop(two);
                assert!(elsewhere() && lock.is_owned_by_current_thread());
                one.set(2);
                drop(one);
                assert!(!elsewhere());
            });
            assert_eq!(lock.into_inner().get(), 2);
        )*};
    }
    check!(
        parking_lot::ReentrantMutex::new(Cell::new(1)),
        parking_lot_0_13::ReentrantMutex::new(Cell::new(1))
    );
}

/// One makes it, all see it; after a panic it is as the standard library says.
#[test]
fn what_is_made_once_is_made_once() {
    let (once, cell, made) = (Once::new(), OnceLock::new(), AtomicU32::new(0));
    let lazy = LazyLock::new(|| made.fetch_add(1, Relaxed));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                once.call_once(|| _ = made.fetch_add(1, Relaxed));
                let value = cell.get_or_init(|| {
                    thread::sleep(SOME);
                    made.fetch_add(1, Relaxed)
                });
                assert!(*value < 3 && *lazy < 3 && once.is_completed());
            });
        }
    });
    assert_eq!(made.load(Relaxed), 3);

    let once = Once::new();
    panics(|| once.call_once(|| resume_unwind(Box::new("on purpose"))));
    assert!(catch_unwind(AssertUnwindSafe(|| once.call_once(|| ()))).is_err() && !once.is_completed());
    once.call_once_force(|state| assert!(state.is_poisoned()));
    once.call_once(|| unreachable!("it is done"));

    let cell = OnceLock::new();
    panics(|| _ = cell.get_or_init(|| resume_unwind(Box::new("on purpose"))));
    assert_eq!((cell.get(), *cell.get_or_init(|| 1), cell.set(2)), (None, 1, Err(2)));

    let lazy: LazyLock<u32> = LazyLock::new(|| resume_unwind(Box::new("on purpose")));
    panics(|| _ = *lazy);
    let again = catch_unwind(AssertUnwindSafe(|| *lazy)).unwrap_err();
    let text = again.downcast_ref::<&str>().expect("a message");
    assert_eq!(*text, "LazyLock instance has previously been poisoned");
    assert_eq!(LazyLock::get(&lazy), None);
}

/// Messages come in their order, once, and the end is seen after the last.
#[test]
fn messages_come_in_their_order() {
    for (sender, receiver) in [
        {
            let (sender, receiver) = mpsc::sync_channel(0);
            (Box::new(move |n| sender.send(n).is_ok()) as Box<dyn Fn(u32) -> bool + Send>, receiver)
        },
        {
            let (sender, receiver) = mpsc::channel();
            (Box::new(move |n| sender.send(n).is_ok()) as _, receiver)
        },
    ] {
        let sends = thread::spawn(move || (0..1000).all(sender));
        assert!(receiver.iter().eq(0..1000_u32));
        assert!(sends.join().unwrap() && receiver.recv().is_err());
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    sender.send(1).unwrap();
    thread::scope(|scope| {
        // Who waits for room is told that nobody is there.
        let waits = scope.spawn(|| sender.send(2));
        thread::sleep(SOME);
        drop(receiver);
        assert_eq!(waits.join().unwrap().unwrap_err().0, 2);
    });
}
