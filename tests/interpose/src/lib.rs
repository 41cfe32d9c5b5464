//! What the tests of `interpose` share: rates that take everything, threads that contend, sums.
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

pub use profiled_test_profiles::{File, Profile, Sample, alone, file, read, stress, text};

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
    /// Runs `f` with it held; `begun` comes before that.
    fn with(&self, begun: &dyn Fn(), f: &mut dyn FnMut());
}

impl Lock for std::sync::Mutex<()> {
    #[inline(never)]
    fn with(&self, begun: &dyn Fn(), f: &mut dyn FnMut()) {
        let guard = self.lock().unwrap();
        begun();
        f();
        drop(guard);
        black_box(());
    }
}

impl Lock for parking_lot::Mutex<()> {
    #[inline(never)]
    fn with(&self, begun: &dyn Fn(), f: &mut dyn FnMut()) {
        let guard = self.lock();
        begun();
        f();
        drop(guard);
        black_box(());
    }
}

/// What the threads at one lock measure themselves.
#[derive(Debug, Default)]
pub struct Measured {
    stop: AtomicBool,
    waiting: AtomicU64,
    /// Nanoseconds waited.
    pub waited: AtomicU64,
    /// Nanoseconds held, times the number of those who waited at the end: for long, and for short.
    pub held: [AtomicU64; 2],
}

impl Measured {
    fn turn(&self, lock: &dyn Lock, who: usize, hold: &dyn Fn()) {
        let begin = Instant::now();
        self.waiting.fetch_add(1, Relaxed);
        let begun = || {
            self.waiting.fetch_sub(1, Relaxed);
            self.waited.fetch_add(begin.elapsed().as_nanos() as u64, Relaxed);
        };
        lock.with(&begun, &mut || {
            let begin = Instant::now();
            hold();
            let held = begin.elapsed().as_nanos() as u64;
            self.held[who].fetch_add(held * self.waiting.load(Relaxed), Relaxed);
        });
    }

    /// The share of the long holder's in all that was held up.
    pub fn long(&self) -> f64 {
        let [long, short] = [0, 1].map(|who| self.held[who].load(Relaxed) as f64);
        long / (long + short)
    }
}

/// Holds it for 3 ms at a time.
#[inline(never)]
pub fn holds_long(lock: &dyn Lock, measured: &Measured) {
    while !measured.stop.load(Relaxed) {
        measured.turn(lock, 0, &|| std::thread::sleep(Duration::from_millis(3)));
        std::thread::sleep(Duration::from_micros(300));
    }
    black_box(());
}

/// Holds it for a moment at a time.
#[inline(never)]
pub fn holds_short(lock: &dyn Lock, measured: &Measured) {
    while !measured.stop.load(Relaxed) {
        measured.turn(lock, 1, &|| busy(Duration::from_micros(10)));
        std::thread::sleep(Duration::from_micros(100));
    }
    black_box(());
}

/// Four threads at one lock for so long; one of them holds it long.
pub fn contend(lock: &dyn Lock, time: Duration) -> Measured {
    let measured = Measured::default();
    std::thread::scope(|scope| {
        scope.spawn(|| holds_long(lock, &measured));
        for _ in 0..3 {
            scope.spawn(|| holds_short(lock, &measured));
        }
        std::thread::sleep(time);
        measured.stop.store(true, Relaxed);
    });
    measured
}
