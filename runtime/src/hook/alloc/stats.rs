//! The heap in figures: exact where that costs nothing, estimated with its error where not.
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Acquire, Ordering::Relaxed};

use super::{BUCKETS, LIVE, LOST, REFUSED, peak, rate};
use crate::local::{self, Local};
use crate::rate::allocation_weight;
use crate::store::arena;
use crate::{stack, sys};

/// A figure that may be an estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Estimate {
    /// The figure, or the best guess at it.
    pub value: u64,
    /// How far off it is, typically: the standard error, in the same unit. In one case of twenty it is twice as far or
    /// farther. 0: the figure is exact.
    pub standard_error: u64,
}

/// The heap in figures, see [`stats`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Mean bytes between two samples: [`rate`](crate::heap::rate).
    pub rate: u64,
    /// Bytes that the program ever allocated; a `realloc` counts with its new size. Exact but for what threads allocate
    /// after their thread-locals are gone. (On the portable backend it is an estimate.) Not in it is what this crate
    /// allocates in its hooks, on its own threads, and to look names up.
    pub allocated_bytes: Estimate,
    /// Blocks that were ever allocated. Exact with [`Allocator::counting`](crate::Allocator::counting).
    pub allocated_objects: Estimate,
    /// Bytes that are allocated now. Exact with [`Allocator::counting`](crate::Allocator::counting), which then has
    /// what this crate allocates itself, too.
    pub live_bytes: Estimate,
    /// Blocks that are allocated now. Exact with [`Allocator::counting`](crate::Allocator::counting).
    pub live_objects: Estimate,
    /// The most bytes that were allocated at a time: an estimate from the samples, however blocks are counted, to about
    /// 5 % and their error; see [`peak`](crate::heap::peak).
    pub peak_bytes: u64,
    /// Allocations that the allocator refused.
    pub refused: u64,
    /// Memory of the process that is resident, in bytes; `None` where the system does not tell.
    pub resident_bytes: Option<u64>,
    /// The most of it there ever was.
    pub peak_resident_bytes: Option<u64>,
    /// Memory that this crate keeps beneath the allocator, in bytes: for stacks, counters, live blocks, threads and
    /// unwinding. What was reserved and not touched yet is part of it.
    pub table_bytes: u64,
    /// Sampled blocks that are alive: what the estimates are made from.
    pub samples: u64,
    /// Samples that found no room, and are in no figure and in no profile.
    pub lost_samples: u64,
}

/// The heap in figures, as of now and without a pause: what Go's `ReadMemStats` is for.
///
/// It takes some ten microseconds, and a few nanoseconds for each row of the profile `heap` and each thread.
pub fn stats() -> Stats {
    // What this allocates is not the program's.
    local::with(|local| local.aside(figures))
}

fn figures() -> Stats {
    let (resident, peak_resident) = sys::process::resident_memory().unzip();
    let mut stats = Stats {
        rate: rate(),
        peak_bytes: peak::bytes(),
        refused: REFUSED.load(Relaxed),
        resident_bytes: resident,
        peak_resident_bytes: peak_resident,
        table_bytes: (arena::mapped() + LIVE.memory() + stack::memory()) as u64,
        samples: LIVE.count() as u64,
        lost_samples: LOST.load(Relaxed),
        ..Stats::default()
    };
    let mut sums = [Sum::default(); 4];
    for bucket in BUCKETS.iter() {
        let freed = bucket.value().freed.load(Acquire);
        let allocated = bucket.value().allocated.load(Acquire);
        let key = bucket.key();
        let weight = allocation_weight(key.what, key.rate);
        let live = allocated.saturating_sub(freed);
        for (sum, (samples, value)) in
            sums.iter_mut().zip([(allocated, key.what), (allocated, 1), (live, key.what), (live, 1)])
        {
            sum.add(samples as f64, value as f64, weight);
        }
    }
    [stats.allocated_bytes, stats.allocated_objects, stats.live_bytes, stats.live_objects] =
        sums.map(Sum::estimate);
    let exact = |value: u64| Estimate { value, standard_error: 0 };
    let metered = local::metered();
    if sys::process::NOTES_ENDS_WHILE_ALLOCATING {
        stats.allocated_bytes = exact(metered.bytes.max(0) as u64);
        // The samples may say more, but this is known.
        stats.live_bytes.value = stats.live_bytes.value.min(stats.allocated_bytes.value);
    }
    if COUNTING.load(Relaxed) {
        let allocated = metered.allocated + APART.allocated.load(Relaxed);
        // Read one after the other while threads go on: never less than nothing.
        let freed = metered.freed + APART.freed.load(Relaxed);
        stats.allocated_objects = exact(allocated);
        stats.live_objects = exact(allocated.saturating_sub(freed));
        stats.live_bytes = exact((metered.live + APART.live.load(Relaxed)).max(0) as u64);
    }
    stats
}

/// A sum of samples and its variance. A block is sampled with probability p and then counts 1/p times (Horvitz and
/// Thompson, 1952): each adds (1-p)/p^2 times the square of its value to the variance.
#[derive(Clone, Copy, Default)]
struct Sum {
    sum: f64,
    variance: f64,
}

impl Sum {
    fn add(&mut self, samples: f64, value: f64, weight: f64) {
        self.sum += samples * value * weight;
        self.variance += samples * value * value * weight * (weight - 1.0);
    }

    fn estimate(self) -> Estimate {
        Estimate { value: self.sum as u64, standard_error: self.variance.max(0.0).sqrt().ceil() as u64 }
    }
}

impl Stats {
    /// The lines at the end of the text form: Go's, as far as their names mean something here.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let errors = [
            ("Alloc", self.live_bytes),
            ("Mallocs", self.allocated_objects),
            ("HeapObjects", self.live_objects),
            ("TotalAlloc", self.allocated_bytes),
        ];
        for (name, estimate) in errors.into_iter().filter(|(_, estimate)| estimate.standard_error > 0) {
            lines.push(format!("{name} is an estimate, its standard error {}", estimate.standard_error));
        }
        if COUNTING.load(Relaxed) {
            lines.push("Alloc and HeapObjects have what the profiler itself allocates, too".to_owned());
        }
        let frees = self.allocated_objects.value.saturating_sub(self.live_objects.value);
        let figures = [
            ("Alloc", Some(self.live_bytes.value)),
            ("TotalAlloc", Some(self.allocated_bytes.value)),
            ("Mallocs", Some(self.allocated_objects.value)),
            ("Frees", Some(frees)),
            ("HeapAlloc", Some(self.live_bytes.value)),
            ("HeapObjects", Some(self.live_objects.value)),
            ("BuckHashSys", Some(self.table_bytes)),
            ("MaxRSS", self.peak_resident_bytes),
        ];
        lines.extend(figures.into_iter().filter_map(|(name, value)| Some(format!("{name} = {}", value?))));
        lines
    }
}

/// Whether blocks are counted one by one.
static COUNTING: AtomicBool = AtomicBool::new(false);

/// What was counted on threads that have no block of ours: they have just begun, are about to end, or are ourselves.
struct Apart {
    allocated: AtomicU64,
    freed: AtomicU64,
    live: AtomicI64,
}

static APART: Apart =
    Apart { allocated: AtomicU64::new(0), freed: AtomicU64::new(0), live: AtomicI64::new(0) };

/// Counts an allocation or a free, of this size, on a thread that others cannot read yet.
#[cold]
#[inline(never)]
pub(super) fn count_apart(local: &Local, allocated: Option<usize>, freed: Option<usize>) {
    COUNTING.store(true, Relaxed);
    local::register(local);
    if let Some(size) = allocated {
        APART.allocated.fetch_add(1, Relaxed);
        APART.live.fetch_add(size as i64, Relaxed);
    }
    if let Some(size) = freed {
        APART.freed.fetch_add(1, Relaxed);
        APART.live.fetch_sub(size as i64, Relaxed);
    }
}
