//! What the tests of `interpose` share: rates that take everything, threads that contend, sums.
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

pub use profiled_test_profiles::{File, Profile, Sample, alone, read, stress, text};

/// Takes every wait and every charge from now on.
pub fn take_all() {
    profiled::block::set_rate(1);
    profiled::mutex::set_fraction(1);
}

/// The rows with this `wait` label.
pub fn of<'a>(profile: &'a Profile, class: &str) -> Vec<&'a Sample> {
    profile.samples().iter().filter(|sample| sample.text("wait") == Some(class)).collect()
}

/// Nanoseconds of delay.
pub fn delay<'a>(samples: impl IntoIterator<Item = &'a &'a Sample>) -> f64 {
    samples.into_iter().map(|sample| sample.value("delay") as f64).sum()
}

/// Works for so long without a system call.
pub fn busy(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        black_box(0);
    }
}

/// A lock, whoever's.
pub trait Lock: Sync {
    /// Runs `f` with it held, and adds to `waited` how long that took to begin.
    fn with(&self, waited: &AtomicU64, f: &mut dyn FnMut());
}

impl Lock for std::sync::Mutex<()> {
    #[inline(never)]
    fn with(&self, waited: &AtomicU64, f: &mut dyn FnMut()) {
        let begin = Instant::now();
        let guard = self.lock().unwrap();
        waited.fetch_add(begin.elapsed().as_nanos() as u64, Relaxed);
        f();
        drop(guard);
        black_box(());
    }
}

impl Lock for parking_lot::Mutex<()> {
    #[inline(never)]
    fn with(&self, waited: &AtomicU64, f: &mut dyn FnMut()) {
        let begin = Instant::now();
        let guard = self.lock();
        waited.fetch_add(begin.elapsed().as_nanos() as u64, Relaxed);
        f();
        drop(guard);
        black_box(());
    }
}

/// Holds it for 3 ms at a time.
#[inline(never)]
pub fn holds_long(lock: &dyn Lock, waited: &AtomicU64, stop: &AtomicBool) {
    while !stop.load(Relaxed) {
        lock.with(waited, &mut || std::thread::sleep(Duration::from_millis(3)));
        std::thread::sleep(Duration::from_micros(300));
    }
    black_box(());
}

/// Holds it for a moment at a time.
#[inline(never)]
pub fn holds_short(lock: &dyn Lock, waited: &AtomicU64, stop: &AtomicBool) {
    while !stop.load(Relaxed) {
        lock.with(waited, &mut || busy(Duration::from_micros(10)));
        std::thread::sleep(Duration::from_micros(100));
    }
    black_box(());
}

/// Four threads at one lock for so long; one of them holds it long. Gives nanoseconds waited, as they measured it.
pub fn contend(lock: &dyn Lock, time: Duration) -> u64 {
    let (stop, waited) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| holds_long(lock, &waited, &stop));
        for _ in 0..3 {
            scope.spawn(|| holds_short(lock, &waited, &stop));
        }
        std::thread::sleep(time);
        stop.store(true, Relaxed);
    });
    waited.load(Relaxed)
}
