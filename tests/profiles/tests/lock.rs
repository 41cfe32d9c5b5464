//! Profiles `mutex`, `block` and one a lock: who held, who waited, how long. And the lock's own API.
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use profiled::sync::{Mutex, MutexGuard};
use profiled::{Kind, profile_mutex};
use profiled_test_profiles::{Profile, alone, read, text};

/// Nanoseconds that the threads themselves saw pass while they waited.
static SEEN: AtomicU64 = AtomicU64::new(0);
static ARRIVED: AtomicUsize = AtomicUsize::new(0);
/// Nanoseconds that holders saw pass while they held it and others came.
static HELD: AtomicU64 = AtomicU64::new(0);

#[inline(never)]
fn holds(lock: &Mutex<u64>, time: Duration, ready: &Barrier) {
    let mut guard = lock.lock().unwrap();
    ready.wait();
    // They are all at the lock, or about to call it.
    while ARRIVED.load(Relaxed) < 10 {
        thread::yield_now();
    }
    let begin = Instant::now();
    thread::sleep(time);
    *guard += 1;
    HELD.fetch_add(begin.elapsed().as_nanos() as u64, Relaxed);
}

#[inline(never)]
fn waits(lock: &Mutex<u64>) {
    ARRIVED.fetch_add(1, Relaxed);
    let begin = Instant::now();
    let guard = lock.lock().unwrap();
    SEEN.fetch_add(begin.elapsed().as_nanos() as u64, Relaxed);
    drop(guard);
}

/// Ten threads wait for a lock that is held for 100 ms.
fn queue(lock: &Mutex<u64>, rounds: u32) {
    for _ in 0..rounds {
        let ready = Barrier::new(11);
        ARRIVED.store(0, Relaxed);
        thread::scope(|scope| {
            scope.spawn(|| holds(lock, Duration::from_millis(100), &ready));
            for _ in 0..10 {
                scope.spawn(|| {
                    ready.wait();
                    waits(lock);
                });
            }
        });
    }
}

/// What a lock's rows in `mutex` and `block` come to.
#[derive(Debug)]
struct Delays {
    block: f64,
    mutex: f64,
    holder: f64,
    passed_on: f64,
    wake_up: f64,
}

fn delays(name: &str) -> Delays {
    let sum = |profile: &Profile, part: Option<&str>| -> f64 {
        let ours = profile.samples().iter().filter(|sample| sample.text("lock") == Some(name));
        let found = ours.filter(|sample| part.is_none_or(|part| sample.has(&[part])));
        found.map(|sample| sample.value("delay") as f64).sum()
    };
    let (block, mutex) = (read("block"), read("mutex"));
    Delays {
        block: sum(&block, None),
        mutex: sum(&mutex, None),
        holder: sum(&mutex, Some("lock::holds")),
        passed_on: sum(&mutex, Some("lock::waits")),
        wake_up: sum(&mutex, Some("[wake-up]")),
    }
}

#[track_caller]
fn close(what: &str, a: f64, b: f64, share: f64) {
    assert!((a / b - 1.0).abs() <= share, "{what}: {a} is not within {share} of {b}");
}

#[test]
fn holder_and_waiters_are_charged_the_same() {
    alone("holder_and_waiters_are_charged_the_same", || {
        let lock = profile_mutex!("queue", std::sync::Mutex::new(0));
        queue(&lock, 3);
        assert_eq!(*lock.lock().unwrap(), 3);
        let found = delays("queue");
        // Charges below a millisecond are sampled at 1 in 10, waits here are all long: the sums of short holds may be
        // off, and are less than a tenth of all that is waited.
        close("mutex and block", found.mutex, found.block, 0.1);
        let seen = SEEN.load(Relaxed) as f64;
        close("block and the threads' own clocks", found.block, seen, 0.05);
        // Ten wait for as long as it is held, those that came early for longer.
        let held = 10.0 * HELD.load(Relaxed) as f64;
        assert!(found.holder >= 0.95 * held && found.holder <= 1.02 * seen, "{held} held: {found:?}");

        let block = read("block");
        let waiters = block.find(&["lock::waits"]);
        assert!(!waiters.is_empty());
        assert_eq!(block.find(&["lock::holds"]).len(), 0, "whoever held it did not wait");
        for sample in &waiters {
            assert_eq!(sample.frames[0].name, "lock::waits", "{:?}", sample.frames);
            assert_eq!(sample.text("lock"), Some("queue"));
        }
        let contentions: i64 = waiters.iter().map(|sample| sample.value("contentions")).sum();
        assert_eq!(contentions, 30);
        let mutex = read("mutex");
        for sample in mutex.find(&["lock::holds"]) {
            assert_eq!(sample.frames[0].name, "lock::holds", "{:?}", sample.frames);
        }
    });
}

#[test]
fn at_rate_one_they_agree_closely() {
    alone("at_rate_one_they_agree_closely", || {
        assert_eq!(profiled::block::set_rate(1), 10_000);
        assert_eq!(profiled::mutex::set_fraction(1), 10);
        let lock = profile_mutex!("queue at one", std::sync::Mutex::new(0));
        queue(&lock, 3);
        let found = delays("queue at one");
        close("mutex and block", found.mutex, found.block, 0.02);
        close("their parts", found.holder + found.passed_on + found.wake_up, found.mutex, 0.001);
        close("block and the threads' own clocks", found.block, SEEN.load(Relaxed) as f64, 0.05);

        // The lock's own profile is its rows of `mutex`.
        let profile = profiled::lookup("queue at one").unwrap();
        assert_eq!((profile.kind(), profile.count()), (Kind::Lock, 30));
        let own = read("queue at one");
        close("its own profile", own.total("delay") as f64, found.mutex, 0.001);
        assert!(own.samples().iter().all(|sample| sample.text("lock") == Some("queue at one")));
        let table = text("queue at one", 1);
        let cells: Vec<&str> = table
            .lines()
            .find(|line| line.contains("queue at one") && line.contains("33"))
            .unwrap()
            .split_whitespace()
            .collect();
        assert_eq!(cells[3..5], ["33", "30"], "acquired and contended in\n{table}");
    });
}

profile_mutex! {
    /// Counts something.
    pub static FIRST: std::sync::Mutex<u32> = std::sync::Mutex::new(1);
    static SECOND: Mutex<Vec<u8>> = Mutex::new(Vec::new());
}

#[derive(Default)]
struct Shop {
    orders: Mutex<Vec<u32>>,
}

struct Store {
    left: Mutex<u32>,
    right: Mutex<u32>,
}

impl Store {
    fn new() -> Store {
        Store { left: Mutex::new(1), right: Mutex::new(2) }
    }
}

/// Has one thread wait for another at this lock.
fn contend<T: Send>(lock: &Mutex<T>) {
    let (ready, comes) = (Barrier::new(2), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let _guard = lock.lock().unwrap();
            ready.wait();
            // On a busy machine the other one may not run for long after that.
            while !comes.load(Relaxed) {
                thread::yield_now();
            }
            thread::sleep(Duration::from_millis(20));
        });
        ready.wait();
        comes.store(true, Relaxed);
        drop(lock.lock().unwrap());
    });
}

fn line_of(what: &str) -> usize {
    let found = include_str!("lock.rs").lines().position(|line| line.trim_start().starts_with(what));
    found.unwrap_or_else(|| panic!("no line begins with {what}")) + 1
}

#[test]
fn every_way_to_make_one_gives_it_a_profile() {
    alone("every_way_to_make_one_gives_it_a_profile", || {
        for name in ["lock::FIRST", "lock::SECOND", "named here"] {
            let profile = profiled::lookup(name).unwrap_or_else(|| panic!("{name} before its first use"));
            assert_eq!((profile.kind(), profile.count()), (Kind::Lock, 0), "{name}");
        }
        let named = profile_mutex!("named here", std::sync::Mutex::new('x'));
        let unnamed = profile_mutex!(std::sync::Mutex::new(2.5));
        let again = profile_mutex!("wrapped twice", profile_mutex!("wrapped once", std::sync::Mutex::new(0)));
        let (shop, from) = (Shop::default(), Mutex::from(7));
        let (one, two) = (Store::new(), Store::new());
        FIRST.lock().map(|mut first| *first += 1).unwrap();
        contend(&FIRST);
        contend(&SECOND);
        contend(&named);
        contend(&unnamed);
        contend(&again);
        contend(&shop.orders);
        contend(&from);
        contend(&one.left);
        contend(&two.left);
        contend(&two.right);

        let delay = |name: &str| read(name).total_of("delay", &["lock::contend"]) as f64 / 1e6;
        let place = |what: &str| format!("tests/profiles/tests/lock.rs:{}", line_of(what));
        let store = place("Store { left: Mutex::new(1)");
        let names = [
            "lock::FIRST".to_owned(),
            "lock::SECOND".to_owned(),
            "named here".to_owned(),
            format!("lock:{}", line_of("let unnamed = ")),
            "wrapped once".to_owned(),
            place("let (shop, from) = "),
        ];
        for name in &names {
            let waited = delay(name);
            assert!(waited > 0.0, "{name}: {waited} ms");
        }
        assert_eq!(delay("wrapped twice"), 0.0, "the inner name stays");
        // Two places on one line: the second has its column, too.
        let both: Vec<&str> = profiled::profiles()
            .iter()
            .map(|profile| profile.name())
            .filter(|name| name.starts_with(&store))
            .collect();
        let [left, right] = both[..] else { panic!("{both:?}") };
        assert!(delay(left) > 0.0 && delay(right) > 0.0);
        assert_eq!(profiled::lookup(left).unwrap().count(), 2, "all locks of one place are one profile");
        let default: Vec<&str> = profiled::profiles()
            .iter()
            .map(|profile| profile.name())
            .filter(|name| name.contains("Mutex<Vec<u32>>") || *name == place("#[derive(Default)]"))
            .collect();
        assert_eq!(default.len(), 1, "the derived default has one, too: {default:?}");
        assert!(delay(default[0]) > 0.0);
    });
}

#[test]
fn it_is_the_standard_librarys_to_the_letter() {
    let mut lock = Mutex::new(vec![1]);
    lock.get_mut().unwrap().push(2);
    lock.try_lock().unwrap().push(3);
    {
        let guard = lock.lock().unwrap();
        assert_eq!(
            format!("{lock:?}"),
            format!("{:?}", {
                let std = std::sync::Mutex::new(0);
                let _held = std.lock();
                format!("{std:?}")
            })
            .replace("\\\"", "\"")
            .trim_matches('"')
        );
        assert!(matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
        assert_eq!(format!("{guard:?}"), "[1, 2, 3]");
    }
    assert_eq!(format!("{lock:?}"), format!("{:?}", std::sync::Mutex::new([1, 2, 3])));
    assert_eq!(lock.into_inner().unwrap(), [1, 2, 3]);

    // Behind an `Arc`, without its size.
    let slice: Arc<Mutex<[u8]>> = Arc::new(Mutex::new([1, 2, 3]));
    slice.lock().unwrap()[1] = 9;
    assert_eq!(*slice.lock().unwrap(), [1, 9, 3]);
    let object: Box<Mutex<dyn std::fmt::Debug + Send>> = Box::new(Mutex::new(5));
    assert_eq!(format!("{:?}", object.lock().unwrap()), "5");
    let text = Mutex::new("displayed".to_owned());
    assert_eq!(text.lock().unwrap().to_string(), "displayed");
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "that it can be made in a constant is what is tested"
    )]
    const CONST: Mutex<u8> = Mutex::new(3);
    assert_eq!(CONST.into_inner().unwrap(), 3);
}

#[test]
fn poison_is_the_standard_librarys() {
    let lock = Mutex::new(0);
    let poison = |lock: &Mutex<u32>| {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut guard = lock.lock().unwrap();
            *guard += 1;
            std::panic::resume_unwind(Box::new("on purpose"));
        }));
        assert!(panicked.is_err());
    };
    poison(&lock);
    assert!(lock.is_poisoned());
    assert_eq!(*lock.lock().unwrap_err().into_inner(), 1);
    assert!(matches!(lock.try_lock(), Err(TryLockError::Poisoned(guard)) if **guard.get_ref() == 1));
    lock.clear_poison();
    assert!(!lock.is_poisoned() && lock.lock().is_ok());
    poison(&lock);
    let mut lock = lock;
    assert_eq!(**lock.get_mut().unwrap_err().get_ref(), 2);
    assert_eq!(lock.into_inner().unwrap_err().into_inner(), 2);

    // Also for one who waited: the lock is released, charged and poisoned.
    let lock = Mutex::new(0);
    let ready = Barrier::new(2);
    thread::scope(|scope| {
        let holder = scope.spawn(|| {
            let _guard = lock.lock().unwrap();
            ready.wait();
            thread::sleep(Duration::from_millis(20));
            std::panic::resume_unwind(Box::new("on purpose"));
        });
        ready.wait();
        assert!(lock.lock().is_err());
        assert!(holder.join().is_err());
    });
}

/// The auto traits of a type, found without naming a bound that may fail: an inherent constant hides the trait's.
macro_rules! autos {
    ($type:ty) => {
        [
            has!(Send, $type),
            has!(Sync, $type),
            has!(UnwindSafe, $type),
            has!(RefUnwindSafe, $type),
            has!(Unpin, $type),
        ]
    };
}

trait No {
    const HAS: bool = false;
}

macro_rules! has {
    ($auto:ident, $type:ty) => {{
        struct Probe<T: ?Sized>(std::marker::PhantomData<T>);
        impl<T: ?Sized> No for Probe<T> {}
        #[allow(dead_code, reason = "used by types that have it")]
        impl<T: ?Sized + $auto> Probe<T> {
            const HAS: bool = true;
        }
        <Probe<$type>>::HAS
    }};
}

#[test]
fn auto_traits_are_the_standard_librarys() {
    type Local = std::cell::Cell<u8>;
    type Shared = std::rc::Rc<u8>;
    type Pinned = std::marker::PhantomPinned;
    assert_eq!(autos!(Mutex<u8>), autos!(std::sync::Mutex<u8>));
    assert_eq!(autos!(Mutex<Local>), autos!(std::sync::Mutex<Local>));
    assert_eq!(autos!(Mutex<Shared>), autos!(std::sync::Mutex<Shared>));
    assert_eq!(autos!(Mutex<Pinned>), autos!(std::sync::Mutex<Pinned>));
    assert_eq!(autos!(MutexGuard<'static, u8>), autos!(std::sync::MutexGuard<'static, u8>));
    assert_eq!(autos!(MutexGuard<'static, Local>), autos!(std::sync::MutexGuard<'static, Local>));
    assert_eq!(autos!(Mutex<Shared>)[..2], [false, false], "the probe can say no");
    assert_eq!(autos!(Mutex<u8>), [true; 5], "and yes");
}

#[test]
fn a_rate_of_zero_keeps_what_was_recorded() {
    alone("a_rate_of_zero_keeps_what_was_recorded", || {
        profiled::block::set_rate(1);
        profiled::mutex::set_fraction(1);
        let lock = profile_mutex!("kept", std::sync::Mutex::new(0));
        queue(&lock, 1);
        let rows = |name: &str, function: &str| -> Vec<Vec<i64>> {
            let mut rows: Vec<_> =
                read(name).find(&[function]).iter().map(|sample| sample.values.clone()).collect();
            rows.sort();
            rows
        };
        let before = (rows("block", "lock::waits"), rows("mutex", "lock::holds"));
        assert!(!before.0.is_empty() && !before.1.is_empty());
        assert_eq!((profiled::block::set_rate(0), profiled::mutex::set_fraction(0)), (1, 1));
        queue(&lock, 1);
        assert_eq!((rows("block", "lock::waits"), rows("mutex", "lock::holds")), before);
        for name in ["block", "mutex"] {
            assert!(read(name).comments.iter().any(|comment| comment.contains("off")), "{name} says so");
        }
        profiled::block::set_rate(1_000_000);
        profiled::mutex::set_fraction(100);
        assert_eq!((rows("block", "lock::waits"), rows("mutex", "lock::holds")), before);
    });
}

/// Has the caller wait for 60 us, `rounds` times.
fn short_waits(lock: &Mutex<u64>, rounds: u32) {
    let line = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..rounds {
                let guard = lock.lock().unwrap();
                line.wait();
                let begin = Instant::now();
                while begin.elapsed() < Duration::from_micros(60) {
                    std::hint::spin_loop();
                }
                drop(guard);
                line.wait();
            }
        });
        for _ in 0..rounds {
            line.wait();
            drop(lock.lock().unwrap());
            line.wait();
        }
    });
}

/// Many short waits, at a rate of ten times their length. A wait of d is taken with probability d/rate and then counted
/// as rate, so each adds d (rate - d) to the variance of the total; of n waits that come to a total of D that is at most
/// D (rate - D/n), which is what it would be were all equally long.
#[test]
fn short_waits_are_sampled_without_bias() {
    alone("short_waits_are_sampled_without_bias", || {
        // What nobody sampled: with every charge taken, `mutex` has all that was waited.
        profiled::mutex::set_fraction(1);
        profiled::block::set_rate(1);
        let all = profile_mutex!("all", std::sync::Mutex::new(0));
        short_waits(&all, 2000);
        let exact = delays("all");
        close("mutex and block", exact.mutex, exact.block, 0.02);

        let rate = 10.0 * exact.block / profiled::lookup("all").unwrap().count() as f64;
        profiled::block::set_rate(rate as u64);
        let sampled = profile_mutex!("sampled", std::sync::Mutex::new(0));
        let mut z = 0.0;
        for rounds in [4000, 8000, 16_000, 32_000] {
            short_waits(&sampled, rounds);
            let (found, waits) = (delays("sampled"), profiled::lookup("sampled").unwrap().count() as f64);
            let error = (found.mutex * (rate - found.mutex / waits).max(0.0)).sqrt();
            z = (found.block - found.mutex) / error;
            // A machine that got quieter meanwhile has shorter waits, and needs more of them to tell anything.
            if z.abs() <= 4.0 && error < 0.1 * found.mutex {
                return;
            }
        }
        panic!("{z} standard errors off, or never precise enough");
    });
}
