#![expect(unsafe_code, reason = "an allocator")]
//! The exact truth about a workload, size by size, and how far from it an estimate may be.
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use profiled::{LabelValue, Snapshot};

/// Below the profiler: while [`workload`] runs on a thread, notes what that allocates and frees.
#[derive(Clone, Copy, Debug)]
pub struct Exact<A = System>(pub A);

/// How many sizes a workload may have: a slot each, found by open addressing, as an allocator has no map.
const SIZES: usize = 1 << 16;

struct Slot {
    size: AtomicU64,
    allocated: AtomicU64,
    freed: AtomicU64,
}

static TABLE: [Slot; SIZES] =
    [const { Slot { size: AtomicU64::new(0), allocated: AtomicU64::new(0), freed: AtomicU64::new(0) } };
        SIZES];

thread_local! {
    static NOTED: Cell<bool> = const { Cell::new(false) };
}

fn slot(size: usize) -> &'static Slot {
    let start = (size as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    for at in 0..SIZES {
        let slot = &TABLE[(start as usize + at) % SIZES];
        let found = match slot.size.load(Relaxed) {
            0 => slot.size.compare_exchange(0, size as u64, Relaxed, Relaxed).unwrap_or_else(|size| size),
            found => found,
        };
        if found == 0 || found == size as u64 {
            return slot;
        }
    }
    // Not a panic, which would allocate.
    std::process::abort()
}

fn note(block: *mut u8, allocated: usize, freed: usize) -> *mut u8 {
    if NOTED.get() && !block.is_null() {
        if allocated > 0 {
            slot(allocated).allocated.fetch_add(1, Relaxed);
        }
        if freed > 0 {
            slot(freed).freed.fetch_add(1, Relaxed);
        }
    }
    block
}

// SAFETY: all blocks are the other allocator's.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Exact<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on.
        note(unsafe { self.0.alloc(layout) }, layout.size(), 0)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on.
        note(unsafe { self.0.alloc_zeroed(layout) }, layout.size(), 0)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(block, 0, layout.size());
        // SAFETY: passed on.
        unsafe { self.0.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: passed on.
        note(unsafe { self.0.realloc(block, layout, size) }, size, layout.size())
    }
}

/// What `f` allocates and frees on this thread is the workload's: it is counted, and its samples have a label by
/// which [`Estimate::of`] finds them.
pub fn workload<R>(phase: &str, f: impl FnOnce() -> R) -> R {
    profiled::labels::with(&[(LABEL, phase)], || {
        NOTED.set(true);
        let result = f();
        NOTED.set(false);
        result
    })
}

const LABEL: &str = "workload";

/// How many blocks of each size were allocated, and how many of them are alive.
pub type Sizes = BTreeMap<u64, [u64; 2]>;

/// What was counted.
pub fn counted() -> Sizes {
    let used = TABLE.iter().filter(|slot| slot.allocated.load(Relaxed) > 0);
    used.map(|slot| {
        let allocated = slot.allocated.load(Relaxed);
        (slot.size.load(Relaxed), [allocated, allocated - slot.freed.load(Relaxed)])
    })
    .collect()
}

/// From here on everything is counted anew. Nothing of the workload may be alive.
///
/// # Panics
/// If something is.
pub fn begin() {
    for slot in &TABLE {
        let (allocated, freed) = (slot.allocated.swap(0, Relaxed), slot.freed.swap(0, Relaxed));
        assert_eq!(allocated, freed, "blocks of {} bytes are alive", slot.size.load(Relaxed));
    }
}

/// All bytes: ever allocated, and alive.
pub fn bytes(sizes: &Sizes) -> [f64; 2] {
    let sum = |which: usize| sizes.iter().map(|(&size, n)| (size * n[which]) as f64).sum();
    [sum(0), sum(1)]
}

/// The rate at which these blocks would give `samples` samples that are alive, on average.
///
/// # Panics
/// If there are not as many blocks.
pub fn rate_for(samples: f64, sizes: &Sizes) -> u64 {
    let expected = |rate: f64| -> f64 {
        sizes.iter().map(|(&size, n)| n[1] as f64 * -(-(size as f64) / rate).exp_m1()).sum()
    };
    assert!(expected(2.0) > samples, "a workload with few blocks: {}", expected(2.0));
    let (mut low, mut high) = (2.0_f64, 1e12_f64);
    while high / low > 1.001 {
        let middle = (low * high).sqrt();
        if expected(middle) > samples { low = middle } else { high = middle }
    }
    low as u64
}

/// The workload's rows of a heap profile, by size: `alloc_objects`, `alloc_space`, `inuse_objects`, `inuse_space`.
pub type Rows = BTreeMap<u64, [i64; 4]>;

/// The rows with this phase's label in a snapshot.
///
/// # Panics
/// If a row has no size.
pub fn rows(snapshot: &Snapshot, phase: &str) -> Rows {
    let mut rows = Rows::new();
    for sample in snapshot.samples() {
        let text = |(key, value)| key == LABEL && value == LabelValue::Str(phase);
        if !sample.labels().any(text) {
            continue;
        }
        let size = sample.labels().find_map(|(key, value)| match value {
            LabelValue::Num(size, _) if key == "bytes" => Some(size as u64),
            _ => None,
        });
        add(&mut rows, size.expect("a size"), sample.values());
    }
    rows
}

/// The same from a file that was written and read back.
///
/// # Panics
/// If a row has no size.
pub fn rows_of_file(profile: &crate::Profile, phase: &str) -> Rows {
    let mut rows = Rows::new();
    for sample in profile.samples().iter().filter(|sample| sample.text(LABEL) == Some(phase)) {
        add(&mut rows, sample.number("bytes").expect("a size") as u64, &sample.values);
    }
    rows
}

fn add(rows: &mut Rows, size: u64, values: &[i64]) {
    rows.entry(size).or_default().iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

/// An estimate of bytes, its variance, and of how many samples it is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Estimate {
    /// Bytes.
    pub bytes: f64,
    /// Bytes squared.
    pub variance: f64,
    /// Samples.
    pub samples: f64,
}

impl Estimate {
    /// Of what was ever allocated, and of what is alive, from rows whose samples were taken at `rate`.
    ///
    /// A block of s bytes is sampled with p = 1 - e^(-s/rate) and then stands for s/p bytes, so that each sample adds
    /// (s/p)^2 (1-p) to the variance (Horvitz and Thompson, 1952). What is exponential has no memory: each block is
    /// sampled or not whatever its neighbours were, and variances add up.
    pub fn of(rows: &Rows, rate: u64) -> [Estimate; 2] {
        [1, 3].map(|space| {
            let mut sum = Estimate::default();
            for (&size, values) in rows {
                let p = -(-(size as f64) / rate as f64).exp_m1();
                let n = (values[space] as f64 * p / size as f64).round();
                sum.bytes += values[space] as f64;
                sum.variance += n * (size as f64 / p).powi(2) * (1.0 - p);
                sum.samples += n;
            }
            sum
        })
    }

    /// What came between an earlier estimate and this one.
    #[must_use]
    pub fn since(self, earlier: Estimate) -> Estimate {
        Estimate {
            bytes: self.bytes - earlier.bytes,
            variance: self.variance - earlier.variance,
            samples: self.samples - earlier.samples,
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Estimate) -> Estimate {
        Estimate {
            bytes: self.bytes + other.bytes,
            variance: self.variance + other.variance,
            samples: self.samples + other.samples,
        }
    }
}
