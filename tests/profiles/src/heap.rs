#![expect(unsafe_code, reason = "an allocator")]
//! What the tests of the heap share: an allocator to profile that counts every byte, and a profile's rows as numbers.
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use crate::{Profile, Sample, read};

/// Below the profiler: counts what the program has while it says so, refuses one size, and at another size
/// allocates something itself.
#[derive(Clone, Copy, Debug)]
pub struct Inner;

/// A block of this size is refused.
pub const REFUSED: usize = 77_777;
/// For a block of this size `nested` allocates, once.
pub const REENTRANT: usize = 88_888;
/// What `nested` allocates.
pub const NESTED: usize = 33_333;

/// Bytes that [`counted`] code allocated and did not free.
pub static LIVE: AtomicI64 = AtomicI64::new(0);
/// Bytes that [`counted`] code ever allocated.
pub static EVER: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
    static NESTING: Cell<bool> = const { Cell::new(false) };
}

fn count(live: i64, ever: i64) {
    if COUNTED.get() {
        LIVE.fetch_add(live, Relaxed);
        EVER.fetch_add(ever, Relaxed);
    }
}

/// What `f` allocates and frees is the program's, and counted.
pub fn counted<R>(f: impl FnOnce() -> R) -> R {
    COUNTED.set(true);
    let result = f();
    COUNTED.set(false);
    result
}

// SAFETY: all blocks are the system's.
unsafe impl GlobalAlloc for Inner {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() == REFUSED {
            return null_mut();
        }
        if layout.size() == REENTRANT && !NESTING.replace(true) {
            nested();
            NESTING.set(false);
        }
        count(layout.size() as i64, layout.size() as i64);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() == REFUSED {
            return null_mut();
        }
        count(layout.size() as i64, layout.size() as i64);
        // SAFETY: passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as i64), 0);
        // SAFETY: passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size == REFUSED {
            return null_mut();
        }
        count(size as i64 - layout.size() as i64, size as i64);
        // SAFETY: passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[inline(never)]
fn nested() {
    std::hint::black_box(Vec::<u8>::with_capacity(NESTED));
}

/// Numbers that are as good as random, the same in every run.
#[derive(Clone, Copy, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// One of 0 to `n` - 1.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// The profile, read without sampling what reading it takes.
pub fn look() -> Profile {
    let rate = profiled::heap::set_rate(0);
    let profile = read("heap");
    profiled::heap::set_rate(rate);
    profile
}

/// The four values of the rows whose stack has `function` and whose blocks have `size` bytes.
pub fn values(profile: &Profile, function: &str, size: usize) -> [i64; 4] {
    let mut values = [0; 4];
    for sample in profile.find(&[function]) {
        if sample.number("bytes") == Some(size as i64) {
            values.iter_mut().zip(&sample.values).for_each(|(sum, value)| *sum += value);
        }
    }
    values
}

/// What `allocated` blocks of `size` come to, of which `live` are left.
pub fn exactly(size: usize, allocated: i64, live: i64) -> [i64; 4] {
    [allocated, allocated * size as i64, live, live * size as i64]
}

/// Size and values of the rows whose stack has `function`, sorted.
pub fn rows(profile: &Profile, function: &str) -> Vec<(Option<i64>, Vec<i64>)> {
    let row = |sample: &&Sample| (sample.number("bytes"), sample.values.clone());
    let mut rows: Vec<_> = profile.find(&[function]).iter().map(row).collect();
    rows.sort();
    rows
}
