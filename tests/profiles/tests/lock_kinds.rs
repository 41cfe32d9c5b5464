//! The locks of `parking_lot` and `tokio`: their own API, and who is charged.
use std::future::poll_fn;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use profiled::{profile_mutex, tokio::sync as async_sync};
use profiled_test_profiles::{Profile, alone, read};

const HOLD: Duration = Duration::from_millis(5);

fn delay(profile: &Profile, lock: &str, function: &str) -> f64 {
    let ours = profile.samples().iter().filter(|sample| sample.text("lock") == Some(lock));
    ours.filter(|sample| sample.has(&[function])).map(|sample| sample.value("delay") as f64).sum()
}

/// Both sums of a lock, in milliseconds, and those of the functions that only hold and only wait.
fn sums(lock: &str, holder: &str, waiter: &str) -> [f64; 4] {
    let (block, mutex) = (read("block"), read("mutex"));
    let all = |profile: &Profile| -> f64 {
        let ours = profile.samples().iter().filter(|sample| sample.text("lock") == Some(lock));
        ours.map(|sample| sample.value("delay") as f64).sum()
    };
    [all(&block), all(&mutex), delay(&mutex, lock, holder), delay(&block, lock, waiter)].map(|ns| ns / 1e6)
}

#[track_caller]
fn comes_out([block, mutex, holder, waiter]: [f64; 4], held: f64) {
    assert!((block / mutex - 1.0).abs() < 0.02, "{block} ms waited, {mutex} ms charged");
    assert!(holder >= 0.8 * held, "{holder} ms charged to who held it for {held} ms while others waited");
    assert!(waiter >= 0.8 * held, "{waiter} ms booked at who waited {held} ms");
}

fn all_of_it() {
    profiled::block::set_rate(1);
    profiled::mutex::set_fraction(1);
}

/// One holds the lock for 5 ms at a time, with others at it: 20 times. Gives the milliseconds that it was held then.
fn queue(holds: impl Fn(&dyn Fn()) + Sync, waits: impl Fn() + Sync) -> f64 {
    let held = AtomicU64::new(0);
    for _ in 0..20 {
        let (ready, comes) = (std::sync::Barrier::new(2), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                holds(&|| {
                    ready.wait();
                    // On a busy machine the other one may not run for long after that.
                    while !comes.load(Relaxed) {
                        thread::yield_now();
                    }
                    thread::sleep(Duration::from_millis(1));
                    let begin = Instant::now();
                    thread::sleep(HOLD);
                    held.fetch_add(begin.elapsed().as_micros() as u64, Relaxed);
                })
            });
            ready.wait();
            comes.store(true, Relaxed);
            waits();
        });
    }
    held.into_inner() as f64 / 1e3
}

/// The tests of `parking_lot`'s locks are the same for both versions.
mod v0_12 {
    use ::parking_lot as origin;
    use profiled::parking_lot as ours;

    const VERSION: &str = "v0_12";

    macro_rules! named {
        ($name:literal) => {
            concat!($name, " of 0.12")
        };
    }

    include!("parking_lot/cases.rs");

    #[test]
    fn who_reads_may_read_again() {
        let lock = ours::RwLock::new(1);
        let (one, two) = (lock.read(), lock.read_recursive());
        assert!(lock.try_write().is_none() && lock.try_read_recursive().is_some());
        assert!(lock.try_read_recursive_for(Duration::from_millis(2)).is_some());
        assert!(lock.try_read_recursive_until(Instant::now()).is_some());
        drop((one, two));
        *lock.write() += 1;
    }
}

/// See [`v0_12`].
mod v0_13 {
    use ::parking_lot_0_13 as origin;
    use profiled::parking_lot_0_13 as ours;

    const VERSION: &str = "v0_13";

    macro_rules! named {
        ($name:literal) => {
            concat!($name, " of 0.13")
        };
    }

    include!("parking_lot/cases.rs");

    #[test]
    fn who_reads_may_read_again() {
        let lock = profile_mutex!(named!("recursive"), origin::RecursiveRwLock::new(1));
        let (one, two) = (lock.read(), lock.read());
        assert!(lock.try_write().is_none());
        drop((one, two));
        *lock.write() += 1;
        assert_eq!(lock.into_inner(), 2);
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// Functions that poll a future, and are on its stacks: optimised and with line tables alone, what an `async fn` is called is
/// not known.
macro_rules! polling {
    ($($name:ident)*) => {$(
        #[inline(never)]
        fn $name(future: Pin<&mut dyn Future<Output = ()>>, context: &mut Context<'_>) -> Poll<()> {
            // Two of the same code would be one function.
            black_box(stringify!($name));
            black_box(future.poll(context))
        }
    )*};
}
polling! { task_holds task_waits notify_waits }

type Polling = fn(Pin<&mut dyn Future<Output = ()>>, &mut Context<'_>) -> Poll<()>;

async fn polled(by: Polling, future: impl Future<Output = ()>) {
    let mut future = pin!(future);
    poll_fn(|context| by(future.as_mut(), context)).await;
}

/// A wait as its task measures it, however it ends.
struct Waits<'a>(Instant, &'a AtomicU64);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.1.fetch_add(self.0.elapsed().as_nanos() as u64, Relaxed);
    }
}

/// One task holds the lock for so long, ten wait, five of which give up after half of that. Gives the milliseconds that
/// those waited who got it, and those who gave up.
fn five_give_up(lock: &async_sync::Mutex<u64>, hold: Duration) -> [f64; 2] {
    let [waited, in_vain] = [const { AtomicU64::new(0) }; 2];
    let waits = |seen| {
        polled(task_waits, async move {
            let _waits = Waits(Instant::now(), seen);
            *lock.lock().await += 1;
        })
    };
    block_on(async {
        let five = |seen| async move {
            tokio::join!(waits(seen), waits(seen), waits(seen), waits(seen), waits(seen))
        };
        let holds = polled(task_holds, async {
            let mut guard = lock.lock().await;
            *guard += 1;
            tokio::time::sleep(hold).await;
        });
        let give_up = tokio::time::timeout(hold / 2, five(&in_vain));
        let (_, _, gave_up) = tokio::join!(holds, five(&waited), give_up);
        assert!(gave_up.is_err(), "it was held for longer");
    });
    [waited, in_vain].map(|waited| waited.into_inner() as f64 / 1e6)
}

/// What those waited who gave up is due from who held the lock then, and is not nobody's: nor does it go with them.
#[test]
fn tasks_that_give_up_leave_the_sums_right() {
    alone("tasks_that_give_up_leave_the_sums_right", || {
        all_of_it();
        // The first stack of a process takes milliseconds, before its wait is noted.
        let first = profile_mutex!("tokio first", ::tokio::sync::Mutex::new(0));
        five_give_up(&first, Duration::from_millis(20));
        let lock = profile_mutex!("tokio mutex", ::tokio::sync::Mutex::new(0));
        let [waited, in_vain] = five_give_up(&lock, Duration::from_millis(60));
        assert_eq!(lock.into_inner(), 6);
        let [block, mutex, holder, waiter] =
            sums("tokio mutex", "lock_kinds::task_holds", "lock_kinds::task_waits");
        assert!((block / mutex - 1.0).abs() < 0.02, "{block} ms waited, {mutex} ms charged");
        let all = waited + in_vain;
        assert!(waiter > 0.8 * all && waiter <= all, "{waiter} ms booked at who waited {all} ms");
        // A third, so that it makes a difference who is charged for it.
        assert!(in_vain > 0.2 * all, "{in_vain} ms of {all} were waited in vain");
        assert!(
            holder > 0.9 * block && holder < 1.01 * block,
            "{holder} ms charged to the holder of {block}"
        );
    });
}

/// Functions that hold a lock by a guard of every kind, and that wait for it.
macro_rules! tokio_sides {
    ($($holds:ident $waits:ident: |$lock:ident: $type:ty, $inside:ident| $hold:expr, $wait:expr;)*) => {$(
        #[inline(never)]
        fn $holds($lock: &Arc<$type>, $inside: &dyn Fn()) { $hold }
        #[inline(never)]
        fn $waits($lock: &Arc<$type>) { $wait }
    )*};
}

type Pair = (u64, u64);

/// How often somebody was let in to read.
static READ: AtomicU64 = AtomicU64::new(0);

tokio_sides! {
    mapped_holds mapped_waits: |lock: async_sync::Mutex<Pair>, inside| {
        let mut guard = async_sync::MutexGuard::map(lock.blocking_lock(), |pair| &mut pair.1);
        *guard += 1;
        inside();
    }, lock.blocking_lock().1 += 1;
    owned_holds owned_waits: |lock: async_sync::Mutex<Pair>, inside| {
        let guard = lock.clone().blocking_lock_owned();
        let mut guard = async_sync::OwnedMutexGuard::map(guard, |pair| &mut pair.1);
        *guard += 1;
        inside();
    }, lock.clone().blocking_lock_owned().1 += 1;
    writer_holds reader_waits: |lock: async_sync::RwLock<Pair>, inside| {
        let mut guard = async_sync::RwLockWriteGuard::map(lock.blocking_write(), |pair| &mut pair.1);
        *guard += 2;
        inside();
    }, drop(lock.blocking_read());
    downgrades_holds others_waits: |lock: async_sync::RwLock<Pair>, inside| {
        let mut guard = lock.blocking_write();
        guard.1 += 2;
        inside();
        // Who waits reads now, too, while this one still does.
        let before = READ.load(Relaxed);
        let shared = async_sync::RwLockWriteGuard::downgrade_map(guard, |pair| &pair.1);
        let begin = Instant::now();
        while READ.load(Relaxed) == before {
            assert!(begin.elapsed() < Duration::from_secs(60), "nobody is let in");
            thread::yield_now();
        }
        drop(shared);
    }, {
        let guard = lock.blocking_read();
        READ.fetch_add(1, Relaxed);
        drop(guard);
    };
    owned_writer_holds owned_reader_waits: |lock: async_sync::RwLock<Pair>, inside| {
        let mut guard = async_sync::OwnedRwLockWriteGuard::map(block_on(lock.clone().write_owned()), |pair| &mut pair.1);
        *guard += 2;
        inside();
    }, drop(block_on(lock.clone().read_owned()));
    reader_holds writer_waits: |lock: async_sync::RwLock<Pair>, inside| {
        let guard = async_sync::OwnedRwLockReadGuard::map(block_on(lock.clone().read_owned()), |pair| &pair.1);
        inside();
        drop(guard);
    }, lock.blocking_write().1 += 2;
    permit_holds permit_waits: |lock: async_sync::Semaphore, inside| {
        let permit = lock.clone().blocking_acquire_owned().unwrap();
        inside();
        drop(permit);
    }, drop(lock.blocking_acquire().unwrap());
}

/// Whatever guard it is held by, whoever holds it is charged for what those wait who wait.
#[test]
fn tokios_guards_charge_their_holders() {
    alone("tokios_guards_charge_their_holders", || {
        all_of_it();
        macro_rules! check {
            ($($name:literal: $lock:expr, $holds:ident, $waits:ident;)*) => {$({
                let lock = Arc::new($lock);
                let held = queue(|inside| $holds(&lock, inside), || $waits(&lock));
                let [holds, waits] =
                    [concat!("lock_kinds::", stringify!($holds)), concat!("lock_kinds::", stringify!($waits))];
                comes_out(sums($name, holds, waits), held);
                Arc::into_inner(lock).unwrap()
            };)*};
        }
        check! {
            "tokio mapped": profile_mutex!("tokio mapped", tokio::sync::Mutex::new((0, 0))), mapped_holds, mapped_waits;
            "tokio owned": profile_mutex!("tokio owned", tokio::sync::Mutex::new((0, 0))), owned_holds, owned_waits;
            "tokio writer": profile_mutex!("tokio writer", tokio::sync::RwLock::new((0, 0))), writer_holds, reader_waits;
            "tokio downgrade": profile_mutex!("tokio downgrade", tokio::sync::RwLock::new((0, 0))),
                downgrades_holds, others_waits;
            "tokio owned writer": profile_mutex!("tokio owned writer", tokio::sync::RwLock::new((0, 0))),
                owned_writer_holds, owned_reader_waits;
            "tokio reader": profile_mutex!("tokio reader", tokio::sync::RwLock::new((0, 0))), reader_holds, writer_waits;
        }
        // A semaphore has no macro: it goes by its place.
        let permits = Arc::new(async_sync::Semaphore::new(1));
        let place = format!("tests/profiles/tests/lock_kinds.rs:{}", line!() - 1);
        let held = queue(|inside| permit_holds(&permits, inside), || permit_waits(&permits));
        comes_out(sums(&place, "lock_kinds::permit_holds", "lock_kinds::permit_waits"), held);
    });
}

#[test]
fn tokios_api_is_its_own() {
    alone("tokios_api_is_its_own", || {
        all_of_it();
        block_on(async {
            let lock = Arc::new(async_sync::Mutex::new(String::new()));
            let mut guard = lock.clone().lock_owned().await;
            guard.push('a');
            assert!(lock.try_lock().is_err() && lock.clone().try_lock_owned().is_err());
            drop(guard);
            assert_eq!(*lock.lock().await, "a");
            assert_eq!(format!("{lock:?}"), format!("{:?}", tokio::sync::Mutex::new("a")));

            let shared = Arc::new(async_sync::RwLock::new(1));
            let (one, two) = (shared.clone().read_owned().await, shared.read().await);
            assert!(shared.try_write().is_err());
            drop((one, two));
            *shared.clone().write_owned().await += 1;
            assert_eq!(*shared.read().await, 2);

            let permits = Arc::new(async_sync::Semaphore::new(3));
            let mut two = permits.clone().acquire_many_owned(2).await.unwrap();
            let one = two.split(1).unwrap();
            assert_eq!((two.num_permits(), permits.available_permits()), (1, 1));
            two.merge(one);
            assert!(permits.try_acquire_many(2).is_err());
            drop(two);
            permits.acquire().await.unwrap().forget();
            assert_eq!(permits.available_permits(), 2);
            let waiting = permits.acquire_many(3);
            let close = async {
                tokio::task::yield_now().await;
                permits.close();
            };
            assert!(tokio::join!(waiting, close).0.is_err());

            let (sender, mut receiver) = async_sync::mpsc::channel(1);
            let sends = async {
                for n in 0..3 {
                    sender.send(n).await.unwrap();
                }
                drop(sender);
            };
            let receives = async {
                let mut got = Vec::new();
                while let Some(n) = receiver.recv().await {
                    got.push(n);
                }
                got
            };
            assert_eq!(tokio::join!(sends, receives).1, [0, 1, 2]);

            let notify = async_sync::Notify::new();
            let notified = async {
                let _waiting = notify.notified();
                polled(notify_waits, notify.notified()).await;
            };
            tokio::join!(notified, async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                notify.notify_one();
            });
        });
        let block = read("block");
        let waited = block.total_of("delay", &["lock_kinds::notify_waits"]);
        assert!(waited >= 9_000_000, "{waited}");
        // What a task is spawned with has to be `Send`, as the original's.
        fn sendable<T: Send>(_: T) {}
        let lock = Arc::new(async_sync::Mutex::new(0));
        sendable(lock.lock());
        sendable(lock.clone().lock_owned());
    });
}
