//! What `heap` and `allocs` say against what was counted, over workloads of every shape: at rate 1 the very blocks, and
//! sampled an estimate as good as its own standard error says, without bias.
//!
//! Each case is a process of its own, and repeats its workload: 20 times, or 200 times if `PROFILED_STRESS_SECONDS` is
//! 60 or more, then (optimised) with all of its blocks instead of a part. The sampler seeds itself from the clock,
//! so that no two runs are the same. Each run is made of 1 000 samples and more, of what is alive alone.
#![expect(unsafe_code, reason = "threads and allocations by hand")]
use std::alloc::{Layout, System, alloc, dealloc};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::c_void;
use std::hint::black_box;
use std::ptr::{null, null_mut};

use profiled::Snapshot;
use profiled_test_profiles::heap::{Dice, look};
use profiled_test_profiles::truth::{self, Estimate, Exact, workload};
use profiled_test_profiles::{alone, read_snapshot, stress};

#[global_allocator]
static ALLOCATOR: profiled::Allocator<Exact> = profiled::Allocator::new(Exact(System));

/// Samples of live blocks that a run has on average. 1 000 are seven standard deviations less.
const SAMPLES: f64 = 1250.0;

/// A workload: makes its blocks, in a phase, and frees them.
struct Case<T> {
    /// So often in a run, each time looking at what is alive.
    rounds: usize,
    build: fn(&'static str, &mut Dice, Size) -> T,
    free: fn(&'static str, T),
}

/// How much of a workload.
#[derive(Clone, Copy, PartialEq)]
enum Size {
    Part,
    Whole,
}

impl Size {
    fn of(self, whole: usize, part: usize) -> usize {
        if self == Size::Whole { whole } else { part }
    }
}

fn snapshot() -> Snapshot {
    profiled::lookup("heap").expect("predefined").snapshot()
}

/// At rate 1 every block is there, by its size.
fn exactly<T>(case: &Case<T>) {
    truth::begin();
    profiled::heap::set_rate(1);
    let held = (case.build)("exact", &mut Dice(1), Size::Part);
    let expect = || -> truth::Rows {
        let row =
            |(size, [n, live]): (u64, [u64; 2])| (size, [n, n * size, live, live * size].map(|n| n as i64));
        truth::counted().into_iter().map(row).collect()
    };
    let alive = expect();
    assert!(alive.values().any(|row| row[2] > 0) && truth::rows_of_file(&look(), "exact") == alive);
    (case.free)("exact", held);
    let freed = expect();
    assert!(freed.values().all(|row| row[2..] == [0, 0]));
    assert!(truth::rows_of_file(&look(), "exact") == freed);
}

/// Of what was ever allocated and of what is alive: the errors of runs, in standard errors and relative, and how large
/// the latter are expected to be.
#[derive(Default)]
struct Errors {
    z: [Vec<f64>; 2],
    relative: [f64; 2],
    expected: [f64; 2],
}

/// One run, of `rounds`: for both, the exact bytes and the estimate.
fn run<T>(case: &Case<T>, rate: u64, seed: usize, size: Size, rounds: usize) -> [(f64, Estimate); 2] {
    let mut sums = [(0.0, Estimate::default()); 2];
    let mut dice = Dice(seed as u64);
    let before = Estimate::of(&truth::rows(&snapshot(), "sampled"), rate)[0];
    for round in 0..rounds {
        truth::begin();
        let held = (case.build)("sampled", &mut dice, size);
        let exact = truth::bytes(&truth::counted());
        let snapshot = snapshot();
        let rows = truth::rows(&snapshot, "sampled");
        if seed == 0 && round == 0 {
            let file = read_snapshot(&snapshot);
            assert!(truth::rows_of_file(&file, "sampled") == rows, "the file says what the snapshot says");
        }
        let [ever, live] = Estimate::of(&rows, rate);
        sums[0] = (sums[0].0 + exact[0], ever.since(before));
        sums[1] = (sums[1].0 + exact[1], sums[1].1.and(live));
        (case.free)("sampled", held);
    }
    let rows = truth::rows(&self::snapshot(), "sampled");
    assert!(rows.values().all(|row| row[2..] == [0, 0]), "what is freed is gone at once");
    sums
}

fn z((exact, estimate): (f64, Estimate)) -> f64 {
    (estimate.bytes - exact) / estimate.variance.sqrt()
}

fn runs<T>(case: &Case<T>, rate: u64, seeds: std::ops::Range<usize>, size: Size) -> Errors {
    let mut errors = Errors::default();
    for seed in seeds {
        // SAFETY: takes a number. So long may one run take, not all of them.
        unsafe { libc::alarm(300) };
        let sums = run(case, rate, seed, size, case.rounds);
        for (which, sum) in sums.into_iter().enumerate() {
            assert!(sum.1.samples >= 1000.0, "a run too lean: {:?}", sum.1);
            errors.z[which].push(z(sum));
            errors.relative[which] += sum.1.bytes / sum.0 - 1.0;
            errors.expected[which] += sum.1.variance / sum.0.powi(2);
        }
        if sums.into_iter().any(|sum| z(sum).abs() > 4.0) {
            // One of 15 000 is that far off by chance; none of four times the length after it.
            let longer = run(case, rate, seed, size, 4 * case.rounds).map(z);
            assert!(longer.iter().all(|z| z.abs() <= 4.0), "seed {seed}: {:?}, then {longer:?}", sums.map(z));
        }
    }
    errors
}

/// What is wrong with the errors of all runs together.
fn wrong(errors: &Errors) -> Option<String> {
    for (which, what) in ["allocated", "alive"].into_iter().enumerate() {
        let z = &errors.z[which];
        let n = z.len() as f64;
        // The mean of n independent ones has a standard deviation of 1/sqrt(n).
        let mean = z.iter().sum::<f64>() / n;
        // The variance, of n-1 degrees of freedom, has one of sqrt(2/(n-1)). Of few runs it is skewed, and its cube root
        // is not (Wilson and Hilferty, 1931).
        let variance = z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let step = 2.0 / (9.0 * (n - 1.0));
        let off = (variance.cbrt() - (1.0 - step)) / step.sqrt();
        // 200 runs of 1 250 samples are good to 0.2 % together, so 1 % is far outside.
        let (bias, expected) = (errors.relative[which] / n, errors.expected[which].sqrt() / n);
        eprintln!("  {what}: z {mean:+.3}, variance {variance:.3}, bias {:+.2} %", 100.0 * bias);
        if mean.abs() > 4.0 / n.sqrt() || off.abs() > 4.0 || bias.abs() > 0.01_f64.max(4.0 * expected) {
            return Some(format!(
                "{what}: z is {mean} on average, its variance {variance}, the bias {bias}: {z:?}"
            ));
        }
    }
    None
}

fn check<T>(name: &str, case: &Case<T>) {
    alone(name, || {
        // The first stack that is taken reads the unwind tables of all modules into the program's own memory: that is
        // not the workload's.
        profiled::heap::set_rate(1);
        drop(black_box(Box::new(1_u64)));
        exactly(case);

        let long = stress().as_secs() >= 60;
        let (seeds, size) = match (long, cfg!(debug_assertions)) {
            (true, false) => (200, Size::Whole),
            (true, true) => (200, Size::Part),
            _ => (20, Size::Part),
        };
        truth::begin();
        profiled::heap::set_rate(0);
        let held = (case.build)("planned", &mut Dice(0), size);
        let rate = truth::rate_for(SAMPLES / case.rounds as f64, &truth::counted());
        (case.free)("planned", held);

        profiled::heap::set_rate(rate);
        eprintln!("{name}: {seeds} runs at rate {rate}");
        let mut found = wrong(&runs(case, rate, 0..seeds, size));
        if found.is_some() {
            // One of 5 000 is that far off by chance; none of twice the length after it.
            found = wrong(&runs(case, rate, seeds..3 * seeds, size));
        }
        assert!(found.is_none(), "{}", found.unwrap_or_default());
    });
}

/// Frees all at once, as part of the workload.
fn all<T>(phase: &'static str, held: T) {
    workload(phase, || drop(held));
}

/// A test for each workload.
macro_rules! truths {
    ($($(#[$doc:meta])* $name:ident($rounds:expr): $build:expr, $free:expr;)*) => {$(
        $(#[$doc])*
        #[test]
        fn $name() {
            check(stringify!($name), &Case { rounds: $rounds, build: $build, free: $free });
        }
    )*};
}

truths! {
    /// 4 million of 64 bytes.
    small_blocks(1): |phase, _, size| workload(phase, || List::of(size.of(4 << 20, 1 << 18))), all;
    /// 60 000 of 4 KiB.
    pages(1): |phase, _, size| workload(phase, || blocks(size.of(60_000, 6000), |_| 4096)), all;
    /// 200 of 1 MiB, 20 times.
    large_blocks(20): |phase, _, _| workload(phase, || blocks(200, |_| 1 << 20)), all;
    /// 16 bytes to 1 MiB, each power of two as likely as any other.
    sizes_of_all_magnitudes(1): |phase, dice, size| workload(phase, || {
        blocks(size.of(20_000, 4000), |_| (16.0 * (dice.below(64) as f64 / 4.0).exp2()) as usize)
    }), all;
    /// The worst for a sampler with a period: 16 bytes and 64 KiB by turns.
    tiny_and_large_by_turns(1): |phase, _, size| workload(phase, || {
        blocks(size.of(40_000, 6000), |n| if n % 2 == 0 { 16 } else { 65_536 })
    }), all;
    /// Vectors that grow while they are filled.
    grown_vectors(1): |phase, dice, size| workload(phase, || {
        let grown = |_| { let mut v = Vec::new(); v.extend_one_by_one(50 + dice.below(1000)); v };
        (0..size.of(12_000, 2500)).map(grown).collect::<Vec<_>>()
    }), all;
    /// Large blocks that are made small.
    shrunk_vectors(1): |phase, dice, size| workload(phase, || {
        let shrunk = |_| { let mut v = vec![7_u8; 100 + 100 * dice.below(8)]; v.shrink_to(1 + v.len() / 3); v.truncate(9); v };
        let mut all: Vec<Vec<u8>> = (0..size.of(60_000, 8000)).map(shrunk).collect();
        all.iter_mut().step_by(2).for_each(Vec::shrink_to_fit);
        all
    }), all;
    /// Strings in a tree, of which every third is taken out again.
    strings_in_a_tree(1): |phase, dice, size| workload(phase, || {
        let entry = |n: usize| (format!("key {n:08}"), "value".repeat(1 + dice.below(40)));
        let mut tree: BTreeMap<String, String> = (0..size.of(40_000, 5000)).map(entry).collect();
        tree.retain(|key, _| key.as_bytes()[11] % 3 != 0);
        tree
    }), all;
    /// Maps that outgrow their tables, again and again.
    hash_maps(1): |phase, dice, size| workload(phase, || {
        let map = |_| (0..20 + dice.below(200)).map(|n| (n as u64, n)).fold(HashMap::new(), |mut map, (key, value)| {
            map.insert(key, value);
            map
        });
        (0..size.of(9000, 2500)).map(map).collect::<Vec<HashMap<u64, usize>>>()
    }), all;
    /// Zeroed blocks, from the system's pages and from used memory.
    zeroed_blocks(1): |phase, dice, size| workload(phase, || {
        (0..size.of(30_000, 4000)).map(|_| vec![0_u8; 100 << (2 * dice.below(6))]).collect::<Vec<_>>()
    }), all;
    /// Alignments up to 64 KiB: the addresses' lowest bits say nothing.
    aligned_blocks(1): |phase, dice, size| workload(phase, || {
        (0..size.of(8000, 3000)).map(|_| Aligned::new(64 + 100 * dice.below(9), 64 << dice.below(11))).collect::<Vec<_>>()
    }), all;
    /// A queue through which a hundred times as much goes as it holds.
    queue(1): |phase, dice, size| workload(phase, || {
        let mut queue = VecDeque::with_capacity(3000);
        for n in 0..size.of(300_000, 40_000) {
            queue.push_back(black_box(Vec::<u8>::with_capacity(30 + 10 * dice.below(20))));
            if n >= 3000 { queue.pop_front(); }
        }
        queue
    }), all;
    /// Half of the blocks is freed on a thread that did not allocate, the rest on a third.
    freed_on_other_threads(1): |phase, dice, size| {
        let seeds = [dice.below(1000), dice.below(1000)];
        std::thread::scope(|scope| {
            seeds.map(|seed| {
                let mut dice = Dice(seed as u64);
                let build = move || workload(phase, || {
                    blocks(size.of(40_000, 5000), |_| 100 + 100 * dice.below(30))
                });
                let mut blocks = scope.spawn(build).join().unwrap();
                scope.spawn(move || {
                    workload(phase, || {
                        let mut n = 0;
                        blocks.retain(|_| { n += 1; n % 2 == 0 });
                    });
                    blocks
                }).join().unwrap()
            })
        })
    }, |phase, held| _ = std::thread::spawn(move || all(phase, held)).join();
    /// 4 000 threads whose first allocation is the workload's, of five each.
    short_threads(1): |phase, _, size| short_lives(phase, size.of(4000, 800)), |phase, held| {
        for block in held {
            workload(phase, || drop(block));
        }
    };
}

/// Blocks of 64 bytes and nothing else: each holds the next.
struct List(Option<Box<Node>>);

struct Node {
    next: Option<Box<Node>>,
    _padding: [u64; 7],
}

impl List {
    fn of(n: usize) -> List {
        List((0..n).fold(None, |next, n| Some(Box::new(Node { next, _padding: [n as u64; 7] }))))
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // Not one within the other, for which there is no stack.
        while let Some(mut first) = self.0.take() {
            self.0 = first.next.take();
        }
    }
}

fn blocks(n: usize, mut size: impl FnMut(usize) -> usize) -> Vec<Vec<u8>> {
    let mut blocks = Vec::with_capacity(n);
    blocks.extend((0..n).map(|n| black_box(Vec::with_capacity(size(n)))));
    blocks
}

trait Extend {
    /// By pushing, which grows a vector in steps.
    fn extend_one_by_one(&mut self, n: usize);
}

impl Extend for Vec<u64> {
    fn extend_one_by_one(&mut self, n: usize) {
        for n in 0..n {
            self.push(black_box(n as u64));
        }
    }
}

struct Aligned(*mut u8, Layout);

impl Aligned {
    fn new(size: usize, align: usize) -> Aligned {
        let layout = Layout::from_size_align(size, align).unwrap();
        // SAFETY: the size is not zero.
        Aligned(unsafe { alloc(layout) }, layout)
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        // SAFETY: as it was allocated.
        unsafe { dealloc(self.0, self.1) }
    }
}

/// What a short thread is told, and what it leaves.
struct Life {
    phase: &'static str,
    left: [Vec<u8>; 4],
}

extern "C" fn life(it: *mut c_void) -> *mut c_void {
    // SAFETY: what `short_lives` made, which nobody else looks at before this thread is joined.
    let it = unsafe { &mut *it.cast::<Life>() };
    workload(it.phase, || {
        it.left = std::array::from_fn(|_| Vec::with_capacity(1000));
        drop(black_box(Vec::<u8>::with_capacity(1000)));
    });
    null_mut()
}

/// Threads that Rust's library does not know, as it allocates before they run.
fn short_lives(phase: &'static str, threads: usize) -> Vec<Vec<u8>> {
    let mut lives: Vec<Life> =
        (0..threads).map(|_| Life { phase, left: [const { Vec::new() }; 4] }).collect();
    for four in lives.chunks_mut(4) {
        let started: Vec<_> = four
            .iter_mut()
            .map(|it| {
                let mut thread = std::mem::MaybeUninit::uninit();
                // SAFETY: the pointers are good until the thread is joined, below.
                unsafe {
                    let it = std::ptr::from_mut(it).cast();
                    assert_eq!(libc::pthread_create(thread.as_mut_ptr(), null(), life, it), 0);
                    thread.assume_init()
                }
            })
            .collect();
        for thread in started {
            // SAFETY: joined once.
            unsafe { libc::pthread_join(thread, null_mut()) };
        }
    }
    lives.into_iter().flat_map(|life| life.left).collect()
}
