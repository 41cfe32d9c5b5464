#![expect(unsafe_code, reason = "implements `GlobalAlloc` around another")]
//! The allocator that samples: profiles `heap` and `allocs`.
//!
//! This lies beneath everything. An allocation costs one thread-local subtraction and a predicted branch, a free one
//! byte of a filter; what follows a crossing or a hit is cold. It never changes a layout, never allocates from
//! the program's allocator for its tables, and takes no lock but those of `fork`, which are never held while the
//! inner allocator runs.
mod peak;
mod peak_file;
mod report;
mod stats;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::Release};

use crate::local::{self, Local};
use crate::rate::{MAX_DISTANCE, allocation_weight};
use crate::stack::{self, Frames};
use crate::store::bucket::{Blocks, Bucket, Buckets, Key};
use crate::store::live::{Block, Live};
use crate::{clock, label, sys, trap};

pub(crate) use peak::{after_fork_in_child, live_bytes};
pub use peak::{peak, peak_file};
pub use peak_file::read_peak_file;
pub(crate) use report::allocated_by_scope;
pub use report::{older_than, write};
pub use stats::{Estimate, Stats, stats};

/// Mean bytes between two samples, as Go's: on a heap of 1 GiB the live total is then good to about 2 %.
const DEFAULT_RATE: u64 = 512 * 1024;

/// While sampling is off a thread looks again after so many bytes, so that a new rate reaches it.
const OFF_DISTANCE: i64 = 4 << 20;

/// The rate until somebody asks for it: then it is what the environment says, or the default.
const UNKNOWN: u64 = u64::MAX;
static RATE: AtomicU64 = AtomicU64::new(UNKNOWN);
static LIVE: Live = Live::new();
static BUCKETS: Buckets<Blocks> = Buckets::new();
/// Samples that found no room in the live table. They are in no row: counted as allocated, they would never be freed.
static LOST: AtomicU64 = AtomicU64::new(0);
/// Allocations that the inner allocator refused.
static REFUSED: AtomicU64 = AtomicU64::new(0);

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
    counting: bool,
}

impl Allocator<System> {
    /// Around the system's allocator.
    pub const fn system() -> Self {
        Allocator::new(System)
    }
}

impl<A> Allocator<A> {
    /// Around any other: `Allocator::new(MiMalloc)`.
    pub const fn new(inner: A) -> Self {
        Allocator { inner, counting: false }
    }

    /// Counts every block besides, for about a nanosecond more an allocation and its free:
    /// [`heap::stats`](crate::heap::stats) then tells exactly what is alive, where otherwise it estimates.
    pub const fn counting(mut self) -> Self {
        self.counting = true;
        self
    }

    /// What the inner allocator gave.
    #[inline(always)]
    fn given(&self, block: *mut u8, size: usize) -> *mut u8 {
        if block.is_null() {
            return refused(size);
        }
        self.allocated(block, size);
        block
    }

    /// Where it says that a block is now, after `realloc`.
    #[inline(always)]
    fn moved(&self, block: *mut u8, before: usize, size: usize) -> *mut u8 {
        if !block.is_null() {
            self.freed(before);
        }
        self.given(block, size)
    }

    #[inline(always)]
    fn allocated(&self, block: *mut u8, size: usize) {
        local::with(|local| {
            if self.counting {
                if local::is_registered(local) {
                    local.meter.count_allocated(size);
                } else {
                    stats::count_apart(local, Some(size), None);
                }
            }
            let left = local.meter.subtract(size);
            if left < 0 {
                crossed(local, block, size, left);
            }
        });
    }

    #[inline(always)]
    fn freed(&self, size: usize) {
        if self.counting {
            local::with(|local| {
                if local::is_registered(local) {
                    local.meter.count_freed(size);
                } else {
                    stats::count_apart(local, None, Some(size));
                }
            });
        }
    }
}

/// What is aligned more than `malloc` promises. Most allocators take another way then.
#[inline(always)]
fn is_unusual(layout: Layout) -> bool {
    layout.align() > 2 * size_of::<usize>() || layout.align() > layout.size()
}

/// Each of these is one call, the last of its caller's: what they need of the stack, others do not set up.
impl<A: GlobalAlloc> Allocator<A> {
    #[inline(always)]
    unsafe fn alloc_usual(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        let block = unsafe { self.inner.alloc(layout) };
        self.given(block, layout.size())
    }

    #[cold]
    #[inline(never)]
    unsafe fn alloc_unusual(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.alloc_usual(layout) }
    }

    /// Of a block that may have been sampled, or that is unusual.
    #[cold]
    #[inline(never)]
    unsafe fn realloc_unusual(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let known = LIVE.remove(block.addr());
        // SAFETY: the caller's promise, passed on.
        let moved = unsafe { self.inner.realloc(block, layout, size) };
        if let Some(known) = known {
            reallocated(block.addr(), moved.is_null(), known);
        }
        self.moved(moved, layout.size(), size)
    }

    /// The free of a block that may have been sampled.
    #[cold]
    #[inline(never)]
    unsafe fn dealloc_known(&self, block: *mut u8, layout: Layout) {
        // Before the block goes: afterwards the address may already be another thread's.
        if let Some(known) = LIVE.remove(block.addr()) {
            gone(known.bucket);
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { self.inner.dealloc(block, layout) }
    }
}

// SAFETY: every call is forwarded with the arguments it came with, and what the inner allocator returned is returned
// unchanged; around it we only look at addresses and sizes.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Allocator<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        trap::not_in_handler(trap::ALLOCATES);
        // SAFETY: the caller's promise, passed on.
        unsafe { if is_unusual(layout) { self.alloc_unusual(layout) } else { self.alloc_usual(layout) } }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        trap::not_in_handler(trap::ALLOCATES);
        // SAFETY: the caller's promise, passed on.
        let block = unsafe { self.inner.alloc_zeroed(layout) };
        self.given(block, layout.size())
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        trap::not_in_handler(trap::ALLOCATES);
        self.freed(layout.size());
        // SAFETY: the caller's promise, passed on.
        unsafe {
            if LIVE.may_hold(block.addr()) {
                self.dealloc_known(block, layout)
            } else {
                self.inner.dealloc(block, layout)
            }
        }
    }

    /// Counts as a free and an allocation of the new size; whether the block moved is nobody's business.
    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        trap::not_in_handler(trap::ALLOCATES);
        if LIVE.may_hold(block.addr()) || is_unusual(layout) {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.realloc_unusual(block, layout, size) };
        }
        // SAFETY: the caller's promise, passed on.
        let moved = unsafe { self.inner.realloc(block, layout, size) };
        self.moved(moved, layout.size(), size)
    }
}

/// The inner allocator has no memory. What fills it may be asked for later, by somebody who finds no program any more.
#[cold]
#[inline(never)]
fn refused(size: usize) -> *mut u8 {
    REFUSED.fetch_add(1, Relaxed);
    local::with(|local| local.enter(|| peak::refused(size)));
    ptr::null_mut()
}

/// The countdown went below zero: the next sample point was in this allocation, unless the distance was drawn for
/// something else.
#[cold]
#[inline(never)]
fn crossed(local: &Local, block: *mut u8, size: usize, left: i64) {
    let rate = rate();
    local::register(local);
    let drawn_at = match local.drawn_at.get() {
        // Nothing was sampled here; from now on perhaps.
        OFF => {
            local.meter.set(draw(local, rate));
            return;
        }
        // A thread begins here, or a long distance goes on. Draw first: a thread that took its first allocation
        // whatever its size would make a program of many short threads look large.
        NOT_DRAWN => {
            let left = draw(local, rate).saturating_add(left);
            local.meter.set(left);
            if left >= 0 {
                return;
            }
            local.drawn_at.get()
        }
        drawn_at => drawn_at,
    };
    // The weight follows from the rate that the distance was drawn at, not from the one in force.
    local.meter.set(draw(local, rate));
    if rate != 0 && drawn_at != OFF && drawn_at != NOT_DRAWN {
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
        Some(bucket) if LIVE.insert(block.addr(), bucket, birth(clock::ticks())) => {
            bucket.value().allocated.fetch_add(1, Release);
            peak::grew(bytes_of(bucket));
        }
        _ => _ = LOST.fetch_add(1, Relaxed),
    }
}

/// When a block was allocated, by the ticks then: to some hundredths of a second, for two years.
fn birth(ticks: u64) -> u32 {
    (ticks >> BIRTH) as u32
}

/// Ticks of a birth are 2^26: 22 ms of a counter at 3 GHz.
const BIRTH: u32 = 26;

/// The bytes that one sample of this bucket stands for.
fn bytes_of(bucket: &Bucket<Blocks>) -> u64 {
    let known = &bucket.value().bytes;
    match known.load(Relaxed) {
        // Sizes are not 0, and a weight is 1 at the least.
        0 => {
            let Key { what, rate, .. } = bucket.key();
            let bytes = (what as f64 * allocation_weight(what, rate)) as u64;
            known.store(bytes, Relaxed);
            bytes
        }
        bytes => bytes,
    }
}

fn gone(bucket: &Bucket<Blocks>) {
    bucket.value().freed.fetch_add(1, Release);
    peak::shrank(bytes_of(bucket));
}

/// A sampled block went through `realloc`: it is freed, or still there if that failed.
#[cold]
#[inline(never)]
fn reallocated(address: usize, failed: bool, block: Block) {
    if !failed {
        gone(block.bucket);
    } else if !LIVE.insert(address, block.bucket, block.birth) {
        // There was room a moment ago. If it is gone, the block counts as freed from now on.
        gone(block.bucket);
        LOST.fetch_add(1, Relaxed);
    }
}

/// Mean bytes between two samples from now on; returns the rate before. The default is 524 288, or what the environment
/// variable `PROFILED_HEAP_RATE` says; 1 samples every allocation exactly, 0 none. What is known already stays, with
/// the weight it was taken with, and is followed until it is freed, whatever the rate.
///
/// It takes effect at once on this thread and on new ones, on others at their next sample.
pub fn set_rate(bytes: u64) -> u64 {
    let before = rate();
    // The largest is what `drawn_at` says when sampling is off, and as good as that.
    RATE.store(bytes.min(OFF - 1), Relaxed);
    local::with(|local| {
        local.drawn_at.set(NOT_DRAWN);
        local.meter.set(0);
    });
    before
}

/// Mean bytes between two samples.
pub fn rate() -> u64 {
    match RATE.load(Relaxed) {
        UNKNOWN => first_rate(),
        rate => rate,
    }
}

/// The rate that the environment asks for. At the program's first allocation, before `main`: nothing is there yet that
/// could read it for us.
#[cold]
fn first_rate() -> u64 {
    let asked =
        local::with(|local| local.aside(|| sys::process::number_in_environment(c"PROFILED_HEAP_RATE")));
    let rate = match asked {
        None => DEFAULT_RATE,
        Some(Ok(rate)) => rate.min(OFF - 1),
        Some(Err(())) => {
            let warn = || {
                sys::process::warn(
                    "profiled: PROFILED_HEAP_RATE is not a number of bytes; it is 524288 then\n",
                )
            };
            local::with(|local| local.aside(warn));
            DEFAULT_RATE
        }
    };
    // Whoever set one meanwhile is right.
    RATE.compare_exchange(UNKNOWN, rate, Relaxed, Relaxed).map_or_else(|now| now, |_| rate)
}
