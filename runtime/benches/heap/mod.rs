#![expect(unsafe_code, reason = "calls allocators")]
//! What allocators are measured with.
#![allow(dead_code, reason = "no bench uses all of it")]
use std::alloc::{GlobalAlloc, Layout};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use crate::measure::{deep, timed};

pub(crate) fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

/// Sizes in an order that nothing predicts.
pub(crate) struct Sizes([u32; 4096]);

impl Sizes {
    /// Evenly between `least` and `most`.
    pub(crate) fn between(least: u32, most: u32) -> Sizes {
        let mut random = 1_u64;
        Sizes(std::array::from_fn(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            least + (random >> 33) as u32 % (most - least + 1)
        }))
    }

    pub(crate) fn get(&self, n: u64) -> usize {
        self.0[n as usize % self.0.len()] as usize
    }
}

/// Makes a copy's loop begin at another place of a cache line than the others': that alone is worth 2 % of 16 bytes.
#[inline(always)]
fn shift<const COPY: usize>() {
    // SAFETY: instructions that do nothing.
    unsafe {
        std::arch::asm!(".rept 8 * {copy}", "nop", ".endr", copy = const COPY, options(nomem, nostack, preserves_flags));
    }
}

#[inline(never)]
pub(crate) fn pair<A: GlobalAlloc, const COPY: usize>(allocator: &A, _: &Sizes, times: u64) {
    shift::<COPY>();
    let layout = layout(16);
    for _ in 0..times {
        // SAFETY: an instruction that does nothing, as long as the copy's number: where the branches within the loop come to
        // lie is worth 2 % as well.
        unsafe {
            std::arch::asm!(".nops {copy}", copy = const COPY, options(nomem, nostack, preserves_flags))
        };
        // SAFETY: the size is not zero, and what was allocated is freed with its layout.
        unsafe { allocator.dealloc(black_box(allocator.alloc(layout)), layout) }
    }
}

#[inline(never)]
pub(crate) fn mix<A: GlobalAlloc, const COPY: usize>(allocator: &A, sizes: &Sizes, times: u64) {
    shift::<COPY>();
    for n in 0..times {
        let layout = layout(sizes.get(n));
        // SAFETY: as above.
        unsafe { allocator.dealloc(black_box(allocator.alloc(layout)), layout) }
    }
}

/// 4 096 blocks are alive; each turn one of them is freed and another allocated in its place.
#[inline(never)]
pub(crate) fn churn<A: GlobalAlloc, const COPY: usize>(allocator: &A, sizes: &Sizes, times: u64) {
    shift::<COPY>();
    let mut blocks = [(std::ptr::null_mut::<u8>(), 0_usize); 4096];
    let mut n = 0_u64;
    let mut turn = |times: u64, size: &dyn Fn(u64) -> usize| {
        for _ in 0..times {
            n += 1;
            let at = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
            let (block, before) = &mut blocks[at as usize];
            // SAFETY: what was allocated is freed with its layout; nothing of size 0 is either.
            unsafe {
                if *before > 0 {
                    allocator.dealloc(*block, layout(*before));
                }
                *before = size(n);
                *block = if *before > 0 { allocator.alloc(layout(*before)) } else { std::ptr::null_mut() };
            }
        }
    };
    turn(times, &|n| sizes.get(n));
    for (block, size) in blocks {
        if size > 0 {
            // SAFETY: as above.
            unsafe { allocator.dealloc(block, layout(size)) }
        }
    }
}

/// A map of 500 texts, looked through, halved and dropped.
#[inline(never)]
pub(crate) fn map(times: u64) {
    for seed in 0..times {
        let key = |n: u64| (n + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
        let mut map: BTreeMap<u64, String> =
            (0..500).map(|n| (key(n), "text ".repeat(n as usize % 20))).collect();
        let found = (0..1000).filter_map(|n| map.get(&key(n))).map(String::len).sum::<usize>();
        map.retain(|key, _| key % 2 == 0);
        black_box((found, map));
    }
}

/// A vector of 16 Mi numbers, grown a number at a time: 24 reallocations, most of which move no memory.
#[inline(never)]
pub(crate) fn vector(times: u64) {
    for _ in 0..times {
        let mut vector = Vec::new();
        for n in 0..16 << 20 {
            vector.push(black_box(n as u64));
        }
        black_box(&vector);
    }
}

/// Blocks allocated for one look at the clock.
pub(crate) const BATCH: usize = 64;

/// Time of so many allocations, in batches and 30 functions deep, or of their frees.
pub(crate) fn batches<A: GlobalAlloc>(allocator: &A, times: u64, frees: bool) -> Duration {
    let mut total = Duration::ZERO;
    let mut blocks = [std::ptr::null_mut::<u8>(); BATCH];
    for _ in 0..times.div_ceil(BATCH as u64) {
        let mut allocated = Duration::ZERO;
        deep(30, &mut || {
            allocated = timed(|| {
                for block in &mut blocks {
                    // SAFETY: the size is not zero.
                    *block = unsafe { allocator.alloc(layout(64)) };
                }
            });
        });
        let freed = timed(|| {
            for &block in &blocks {
                // SAFETY: allocated above, with this layout.
                unsafe { allocator.dealloc(block, layout(64)) }
            }
        });
        total += if frees { freed } else { allocated };
    }
    total
}

/// Memory of this process that is there, in bytes.
pub(crate) fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}
