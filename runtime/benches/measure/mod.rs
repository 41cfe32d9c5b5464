//! How the benches measure, and the table they print.
//!
//! Both variants of a row live in one binary and take turns, slice by slice, each first as often as the other. A
//! slice lasts about 100 us: short beside what disturbs a machine, long beside a look at the clock. Every pair of
//! neighbouring slices gives one ratio or difference; a row shows their median, its 95 % interval by order
//! statistics (nothing is assumed of the noise), and what the fastest slices of both give. A workload comes in several
//! copies of its machine code, so that one lucky address decides nothing.
//!
//! `cargo bench -p profiled` prints all tables; a word after `--` keeps the rows that contain it. Without `--bench`,
//! as `cargo test --benches` runs them, everything is done once and nothing is measured.
#![allow(dead_code, reason = "no bench uses all of it")]
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Runs its workload so many times and tells how long that took.
pub(crate) type Slice<'a> = &'a dyn Fn(u64) -> Duration;

/// A workload with us and without.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub(crate) with: Slice<'a>,
    pub(crate) without: Slice<'a>,
}

/// What a row is judged by.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// At most so many times as long.
    Ratio(f64),
    /// At most so many nanoseconds more.
    Added(f64),
    /// So many nanoseconds more are what it is, without a target.
    Open,
}

/// The table of one bench.
pub(crate) struct Table {
    wanted: Vec<String>,
    measuring: bool,
}

/// Pairs of slices a row.
const PAIRS: usize = 1000;
/// A slice's length.
const SLICE: Duration = Duration::from_micros(100);

impl Table {
    pub(crate) fn new(title: &str) -> Table {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let measuring = arguments.iter().any(|argument| argument == "--bench");
        let wanted = arguments.into_iter().filter(|argument| !argument.starts_with('-')).collect();
        if measuring {
            println!(
                "\n{title:<44} {:>10} {:>10}   {:<27} {:>9} {:>9}",
                "with", "without", "median [95 %]", "fastest", "target"
            );
        }
        Table { wanted, measuring }
    }

    /// One that runs everything once and prints nothing.
    pub(crate) fn silent() -> Table {
        Table { wanted: Vec::new(), measuring: false }
    }

    /// Whether rows are measured, or everything done once.
    pub(crate) fn measures(&self) -> bool {
        self.measuring
    }

    /// Whether this row is among those asked for.
    pub(crate) fn wants(&self, what: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|word| what.contains(word.as_str()))
    }

    /// A row whose figure is `of` one variant alone. It is told whether to measure, or to do everything once.
    pub(crate) fn figure(&mut self, what: &str, target: &str, of: impl FnOnce(bool) -> String) {
        if !self.wants(what) {
            return;
        }
        let figure = of(self.measuring);
        if self.measuring {
            println!("{what:<44} {figure:<61} {target:>9}");
        }
    }

    /// Measures a row: the copies of one workload.
    pub(crate) fn row(&mut self, what: &str, target: Target, pairs: &[Pair<'_>]) {
        let times = calibrate(pairs[0].without, SLICE);
        self.row_of(what, target, times, PAIRS, pairs, &|| ());
    }

    /// The same with slices that take 2 ms: for threads, which meet before each.
    pub(crate) fn long_row(&mut self, what: &str, target: Target, pairs: &[Pair<'_>]) {
        let times = calibrate(pairs[0].without, 20 * SLICE);
        self.row_of(what, target, times, PAIRS / 4, pairs, &|| ());
    }

    /// The same, with the number of repetitions a slice given, and something to do between pairs.
    pub(crate) fn row_of(
        &mut self,
        what: &str,
        target: Target,
        times: u64,
        count: usize,
        pairs: &[Pair<'_>],
        between: &dyn Fn(),
    ) {
        if !self.wants(what) {
            return;
        }
        if !self.measuring {
            for pair in pairs {
                (pair.with)(1);
                (pair.without)(1);
                between();
            }
            return;
        }
        let slice = |slice: Slice<'_>| slice(times).as_nanos() as f64 / times as f64;
        for pair in pairs {
            for _ in 0..10 {
                slice(pair.with);
                slice(pair.without);
                between();
            }
        }
        let measured: Vec<(f64, f64)> = (0..count)
            .map(|n| {
                let pair = pairs[n / 2 % pairs.len()];
                let both = if n % 2 == 0 {
                    let with = slice(pair.with);
                    (with, slice(pair.without))
                } else {
                    let without = slice(pair.without);
                    (slice(pair.with), without)
                };
                between();
                both
            })
            .collect();
        print(what, target, &measured);
    }
}

/// How often a workload runs in a slice.
fn calibrate(slice: Slice<'_>, length: Duration) -> u64 {
    let mut times = 1;
    loop {
        let took = (0..3).map(|_| slice(times)).min().unwrap_or_default();
        if took * 2 > length || times >= 1 << 32 {
            return (times as f64 * length.as_secs_f64() / took.as_secs_f64()).max(1.0) as u64;
        }
        times *= 2;
    }
}

fn print(what: &str, target: Target, measured: &[(f64, f64)]) {
    let sorted = |of: fn(&(f64, f64)) -> f64| {
        let mut all: Vec<f64> = measured.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let (with, without) = (sorted(|pair| pair.0), sorted(|pair| pair.1));
    let (figures, fastest, aim, unit) = match target {
        Target::Ratio(aim) => (sorted(|pair| pair.0 / pair.1), with[0] / without[0], Some(aim), ""),
        Target::Added(aim) => (sorted(|pair| pair.0 - pair.1), with[0] - without[0], Some(aim), "ns"),
        Target::Open => (sorted(|pair| pair.0 - pair.1), with[0] - without[0], None, "ns"),
    };
    let (low, high) = interval(figures.len());
    let figure = |value: f64| match unit {
        "" => format!("{value:.3}"),
        _ if value.abs() < 100.0 => format!("{value:+.2}"),
        _ => format!("{value:+.0}"),
    };
    let median =
        format!("{} [{}, {}] {unit}", figure(middle(&figures)), figure(figures[low]), figure(figures[high]));
    let time = |ns: f64| match ns {
        ..1e3 => format!("{ns:.2} ns"),
        ..1e6 => format!("{:.2} us", ns / 1e3),
        _ => format!("{:.2} ms", ns / 1e6),
    };
    println!(
        "{what:<44} {:>10} {:>10}   {median:<27} {:>9} {:>9}",
        time(middle(&with)),
        time(middle(&without)),
        figure(fastest),
        aim.map_or_else(|| "-".to_owned(), figure),
    );
}

fn middle(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// Between which places of `n` sorted values the median of the whole lies, with a probability of 95 %: how many are
/// below it is binomial, of standard deviation sqrt(n)/2.
fn interval(n: usize) -> (usize, usize) {
    let reach = 0.98 * (n as f64).sqrt();
    let middle = n as f64 / 2.0;
    ((middle - reach).max(0.0) as usize, ((middle + reach) as usize).min(n - 1))
}

/// How long `work` takes.
#[inline(always)]
pub(crate) fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// What a team of threads does together.
pub(crate) type Job = Arc<dyn Fn(u64) + Send + Sync>;

/// Threads that stay, so that none of a slice is their start.
pub(crate) struct Team {
    barrier: Arc<Barrier>,
    job: Arc<Mutex<(Option<Job>, u64)>>,
    times: Arc<Mutex<Vec<(Instant, Instant)>>>,
    threads: usize,
    /// When the last one of the run before did.
    ended: Mutex<Option<Instant>>,
}

impl Team {
    pub(crate) fn new(threads: usize) -> Team {
        let team = Team {
            barrier: Arc::new(Barrier::new(threads + 1)),
            job: Arc::new(Mutex::new((None, 0))),
            times: Arc::default(),
            threads,
            ended: Mutex::new(None),
        };
        for _ in 0..threads {
            let (barrier, job, times) = (team.barrier.clone(), team.job.clone(), team.times.clone());
            std::thread::spawn(move || {
                loop {
                    barrier.wait();
                    let (job, repetitions) = job.lock().unwrap().clone();
                    let Some(job) = job else { return };
                    let start = Instant::now();
                    job(repetitions);
                    let end = Instant::now();
                    times.lock().unwrap().push((start, end));
                    barrier.wait();
                }
            });
        }
        team
    }

    /// For what threads do to one another. Two begin when both run: those that are merely woken together may well begin on one
    /// processor, where nobody meets anybody. More than there are processors cannot.
    pub(crate) fn run_together(&self, job: &Job, repetitions: u64) -> Duration {
        if self.threads == 2 { self.run_abreast(job, repetitions) } else { self.run(job, repetitions) }
    }

    /// The same for what threads do side by side and not to one another: the clock starts when all of them run. Those that are
    /// woken at once may well begin on one processor, one after the other, and slices are over before that ends.
    pub(crate) fn run_abreast(&self, job: &Job, repetitions: u64) -> Duration {
        let (all, start) = (self.threads, Arc::new(OnceLock::new()));
        let (here, job, begins) = (Arc::new(AtomicUsize::new(0)), job.clone(), start.clone());
        let met: Job = Arc::new(move |repetitions| {
            here.fetch_add(1, Relaxed);
            while here.load(Relaxed) < all {
                std::hint::spin_loop();
            }
            let start = *begins.get_or_init(|| Instant::now() + Duration::from_micros(100));
            while Instant::now() < start {}
            job(repetitions);
        });
        _ = self.run(&met, repetitions);
        let end = self.ended.lock().unwrap().take().unwrap();
        end - *start.get().unwrap()
    }

    /// Has each thread do `job` so many times; gives the time from the first start to the last end.
    pub(crate) fn run(&self, job: &Job, repetitions: u64) -> Duration {
        *self.job.lock().unwrap() = (Some(job.clone()), repetitions);
        self.barrier.wait();
        self.barrier.wait();
        let mut times = self.times.lock().unwrap();
        let start = times.iter().map(|both| both.0).min().unwrap();
        let end = times.iter().map(|both| both.1).max().unwrap();
        times.clear();
        *self.ended.lock().unwrap() = Some(end);
        end - start
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.job.lock().unwrap().0 = None;
        self.barrier.wait();
    }
}

/// Calls `f` from so many functions deep, at most 40, each with code and a frame of its own.
pub(crate) fn deep(depth: usize, f: &mut dyn FnMut()) {
    FLOORS[depth - 1](depth - 1, f);
}

type Floor = fn(usize, &mut dyn FnMut());

#[inline(never)]
fn floor<const N: usize>(below: usize, f: &mut dyn FnMut()) {
    let mut frame = [N; N];
    black_box(&mut frame);
    match below {
        0 => f(),
        n => FLOORS[n - 1](n - 1, f),
    }
    black_box(&mut frame);
}

macro_rules! floors {
    ($($n:literal)*) => {
        static FLOORS: [Floor; 40] = [$(floor::<$n>),*];
    };
}
floors!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40);
