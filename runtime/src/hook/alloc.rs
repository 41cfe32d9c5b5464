#![expect(unsafe_code, reason = "implements `GlobalAlloc` around another")]
//! The allocator that samples: profiles `heap` and `allocs`.
//!
//! This lies beneath everything. An allocation costs one thread-local subtraction and a predicted branch, a free one
//! byte of the page filter; what follows a crossing or a hit is cold. It never changes a layout, never allocates from
//! the program's allocator for its tables, and takes no lock but those of `fork`, which are never held while the
//! inner allocator runs.
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::SystemTime;

use crate::error::Result;
use crate::local::{self, Local};
use crate::profile::{Entry, Profile, Source};
use crate::rate::{MAX_DISTANCE, allocation_weight};
use crate::record::ValueType;
use crate::site::FunctionSite;
use crate::snapshot::{self, Meta, Places, Row, Shape, Snapshot};
use crate::stack::{self, Frames};
use crate::store::arena;
use crate::store::bucket::{Bucket, Buckets, Key};
use crate::store::live::Live;
use crate::store::{Labels, Stack};
use crate::{Format, label, trap};

/// Mean bytes between two samples, as Go's: on a heap of 1 GiB the live total is then good to about 2 %.
const DEFAULT_RATE: u64 = 512 * 1024;

/// While sampling is off a thread looks again after so many bytes, so that a new rate reaches it.
const OFF_DISTANCE: i64 = 4 << 20;

static RATE: AtomicU64 = AtomicU64::new(DEFAULT_RATE);
static LIVE: Live = Live::new();
static BUCKETS: Buckets = Buckets::new();
/// Samples that found no room in the live table. They are in no row: counted as allocated, they would never be freed.
static LOST: AtomicU64 = AtomicU64::new(0);

/// The global allocator that profiles the heap: yours, with sampling around it.
///
/// ```
/// #[global_allocator]
/// static A: profiled::Allocator = profiled::Allocator::system();
/// # fn main() {}
/// ```
///
/// One allocation in about [`heap::rate`](crate::heap::rate) bytes is sampled, at its real place and size, and
/// followed until it is freed, so that `heap` shows what is alive *now*. The others cost about a nanosecond for both
/// ends together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocator<A = System> {
    inner: A,
}

impl Allocator<System> {
    /// Around the system's allocator.
    pub const fn system() -> Self {
        Allocator { inner: System }
    }
}

impl<A> Allocator<A> {
    /// Around any other: `Allocator::new(MiMalloc)`.
    pub const fn new(inner: A) -> Self {
        Allocator { inner }
    }
}

// SAFETY: every call is forwarded with the arguments it came with, and what the inner allocator returned is returned
// unchanged; around it we only look at addresses and sizes.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Allocator<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        trap::not_in_handler(trap::ALLOCATES);
        // SAFETY: the caller's promise, passed on.
        let block = unsafe { self.inner.alloc(layout) };
        allocated(block, layout.size());
        block
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        trap::not_in_handler(trap::ALLOCATES);
        // SAFETY: the caller's promise, passed on.
        let block = unsafe { self.inner.alloc_zeroed(layout) };
        allocated(block, layout.size());
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        trap::not_in_handler(trap::ALLOCATES);
        // Before the block goes: afterwards the address may already be another thread's.
        if LIVE.may_hold(block.addr()) {
            freed(block.addr());
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { self.inner.dealloc(block, layout) }
    }

    /// Counts as a free and an allocation of the new size; whether the block moved is nobody's business.
    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        trap::not_in_handler(trap::ALLOCATES);
        let known = if LIVE.may_hold(block.addr()) { taken_out(block.addr()) } else { None };
        // SAFETY: the caller's promise, passed on.
        let moved = unsafe { self.inner.realloc(block, layout, size) };
        if let Some(bucket) = known {
            reallocated(block.addr(), moved.is_null(), bucket);
        }
        allocated(moved, size);
        moved
    }
}

#[inline(always)]
fn allocated(block: *mut u8, size: usize) {
    local::with(|local| {
        let left = local.countdown.get().wrapping_sub(size as i64);
        local.countdown.set(left);
        if left < 0 {
            crossed(local, block, size, left);
        }
    });
}

/// The countdown went below zero: the next sample point was in this allocation, unless the distance was drawn for
/// something else.
#[cold]
#[inline(never)]
fn crossed(local: &Local, block: *mut u8, size: usize, left: i64) {
    let rate = RATE.load(Relaxed);
    let drawn_at = match local.drawn_at.get() {
        // Nothing was sampled here; from now on perhaps.
        OFF => {
            draw(local, rate);
            return;
        }
        // A thread begins here, or a long distance goes on. Draw first: a thread that took its first allocation
        // whatever its size would make a program of many short threads look large.
        NOT_DRAWN => {
            let left = draw(local, rate).saturating_add(left);
            local.countdown.set(left);
            if left >= 0 {
                return;
            }
            local.drawn_at.get()
        }
        drawn_at => drawn_at,
    };
    // The weight follows from the rate that the distance was drawn at, not from the one in force.
    draw(local, rate);
    if !block.is_null() && rate != 0 && drawn_at != OFF && drawn_at != NOT_DRAWN {
        local.enter(|| sample(local, block, size, drawn_at));
    }
}

/// What `Local::drawn_at` says beside a rate: a sample point is still to be drawn from here on.
const NOT_DRAWN: u64 = 0;
/// Sampling was off.
const OFF: u64 = u64::MAX;

/// Draws the distance to the next sample point.
fn draw(local: &Local, rate: u64) -> i64 {
    let (distance, drawn_at) = match rate {
        0 => (OFF_DISTANCE, OFF),
        rate => match local.random(|random| random.distance(rate)) {
            // Farther than we draw: go that far and draw on. What is exponential has no memory.
            MAX_DISTANCE => (MAX_DISTANCE, NOT_DRAWN),
            distance => (distance, rate),
        },
    };
    local.countdown.set(distance);
    local.drawn_at.set(drawn_at);
    distance
}

/// Frames between the caller of the allocator's method and `stack::capture`: `sample`, `crossed`. What is inlined
/// into the program's own frames is cut by name when the profile is read.
const OUR_FRAMES: usize = 2;

#[inline(never)]
fn sample(local: &Local, block: *mut u8, size: usize, rate: u64) {
    let mut frames = Frames::new();
    stack::capture(&mut frames, OUR_FRAMES);
    let key = Key {
        stack: frames.intern(),
        labels: label::interned(),
        scope: local.scopes().innermost(),
        what: size as u64,
        rate,
    };
    match BUCKETS.get(key) {
        Some(bucket) if LIVE.insert(block.addr(), bucket) => {
            bucket.value().first.fetch_add(1, Release);
        }
        _ => _ = LOST.fetch_add(1, Relaxed),
    }
}

#[cold]
#[inline(never)]
fn freed(address: usize) {
    if let Some(bucket) = LIVE.remove(address) {
        bucket.value().second.fetch_add(1, Release);
    }
}

#[cold]
#[inline(never)]
fn taken_out(address: usize) -> Option<&'static Bucket> {
    LIVE.remove(address)
}

/// A sampled block went through `realloc`: it is freed, or still there if that failed.
#[cold]
#[inline(never)]
fn reallocated(address: usize, failed: bool, bucket: &'static Bucket) {
    if !failed {
        bucket.value().second.fetch_add(1, Release);
    } else if !LIVE.insert(address, bucket) {
        // There was room a moment ago. If it is gone, the block counts as freed from now on.
        bucket.value().second.fetch_add(1, Release);
        LOST.fetch_add(1, Relaxed);
    }
}

/// Mean bytes between two samples from now on; returns the rate before. The default is 524 288, 1 samples every
/// allocation exactly, 0 none; what is known already stays, with the weight it was taken with.
///
/// It takes effect at once on this thread and on new ones, on others at their next sample.
pub fn set_rate(bytes: u64) -> u64 {
    // The largest is what `drawn_at` says when sampling is off, and as good as that.
    let before = RATE.swap(bytes.min(OFF - 1), Relaxed);
    local::with(|local| {
        local.drawn_at.set(NOT_DRAWN);
        local.countdown.set(0);
    });
    before
}

/// Mean bytes between two samples.
pub fn rate() -> u64 {
    RATE.load(Relaxed)
}

/// Writes the profile `heap` as gzipped protobuf.
///
/// # Errors
/// The writer's, as [`Error::Io`](crate::Error::Io).
pub fn write(w: impl io::Write) -> Result<()> {
    HEAP.snapshot("heap").write(w, Format::Pprof)
}

struct Heap {
    /// `allocs` differs in nothing but what tools show first.
    default_type: Option<usize>,
}

static HEAP: Heap = Heap { default_type: None };
static ALLOCS: Heap = Heap { default_type: Some(1) };

impl Source for Heap {
    fn count(&self) -> usize {
        BUCKETS.count()
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        let modules = stack::modules();
        let rows = BUCKETS.iter().map(row).collect();
        let rate = rate();
        let mut comments = Vec::new();
        if rate == 0 {
            comments.push("heap sampling is off; what is shown was recorded before".to_owned());
        }
        for (count, what) in [
            (LOST.load(Relaxed), "samples lost: no room in the table of live blocks"),
            (BUCKETS.folded() as u64, "samples folded into [other]: too many different rows"),
            (Stack::folded() as u64, "stacks folded into [other] in all profiles: too many different ones"),
        ] {
            if count > 0 {
                comments.push(format!("{count} {what}"));
            }
        }
        comments.extend(label::losses());
        comments.push(format!(
            "own tables: {} bytes mapped for stacks, counters and threads, {} for unwinding",
            arena::mapped(),
            stack::memory(),
        ));
        let meta = Meta {
            profile: name,
            value_types: vec![
                ValueType::new("alloc_objects", "count"),
                ValueType::new("alloc_space", "bytes"),
                ValueType::new("inuse_objects", "count"),
                ValueType::new("inuse_space", "bytes"),
            ],
            default_type: self.default_type,
            period: (ValueType::new("space", "bytes"), i64::try_from(rate).unwrap_or(i64::MAX)),
            places: Places::Hooked,
            shape: Shape::Heap,
            time: SystemTime::now(),
            comments,
            cumulative: true,
            ..Meta::default()
        };
        Snapshot::new(meta, rows, modules)
    }

    fn rate(&self) -> Option<String> {
        Some(match rate() {
            0 => "off".to_owned(),
            1 => "every allocation".to_owned(),
            rate => format!("1 sample in {rate} bytes"),
        })
    }
}

/// One size at one place, unbiased with the rate its samples were taken at.
fn row(bucket: &'static Bucket) -> Row {
    let key = bucket.key();
    // Freed first: what is freed was allocated before, so that live is never negative.
    let freed = bucket.value().second.load(Acquire);
    let allocated = bucket.value().first.load(Acquire);
    let live = allocated.saturating_sub(freed);
    let weight = allocation_weight(key.what, key.rate);
    let scaled = |count: u64| (count as f64 * weight) as i64;
    Row {
        key: snapshot::Key {
            stack: key.stack,
            labels: key.labels,
            bytes: Some(key.what as i64),
            lock: None,
            scope: crate::hook::function::name_of(key.scope),
            tags: Labels::none(),
        },
        values: [
            scaled(allocated),
            scaled(allocated.saturating_mul(key.what)),
            scaled(live),
            scaled(live.saturating_mul(key.what)),
        ],
    }
}

/// Bytes allocated since the start by the innermost scope, estimated from the samples.
pub(crate) fn allocated_by_scope() -> HashMap<*const FunctionSite, f64> {
    let mut allocated = HashMap::new();
    for bucket in BUCKETS.iter() {
        let key = bucket.key();
        if let Some(site) = key.scope {
            let bytes = bucket.value().first.load(Relaxed) as f64 * key.what as f64;
            *allocated.entry(std::ptr::from_ref(site)).or_default() +=
                bytes * allocation_weight(key.what, key.rate);
        }
    }
    allocated
}

static HEAP_PROFILE: Profile = Profile::predefined(
    "heap",
    "Live heap: sampled allocations that are not freed yet, as of now, and all allocations since the start",
    &HEAP,
);
static ALLOCS_PROFILE: Profile = Profile::predefined(
    "allocs",
    "All sampled allocations since the start; the same data as heap, shown as alloc_space",
    &ALLOCS,
);
inventory::submit! { Entry::Profile(&HEAP_PROFILE) }
inventory::submit! { Entry::Profile(&ALLOCS_PROFILE) }
