//! Profile `heap` as it is sampled: estimates with their standard error, and rates that change.
#![expect(unsafe_code, reason = "threads and allocations by hand")]
use std::alloc::{Layout, alloc, dealloc};
use std::ffi::c_void;
use std::hint::black_box;
use std::ptr::null_mut;
use std::sync::Barrier;
use std::sync::atomic::Ordering::Relaxed;

use profiled_test_profiles::heap::{Dice, EVER, Inner, LIVE, exactly, look, rows, values};
use profiled_test_profiles::{Sample, alone, read};

#[global_allocator]
static ALLOCATOR: profiled::Allocator<Inner> = profiled::Allocator::new(Inner);

/// What the sampled tests allocate: their own functions, to be found in stacks.
mod workload {
    use profiled_test_profiles::heap::counted;

    #[inline(never)]
    pub(super) fn plain(size: usize) -> Vec<u8> {
        counted(|| Vec::with_capacity(size))
    }

    #[inline(never)]
    pub(super) fn zeroed(size: usize) -> Vec<u8> {
        counted(|| vec![0; size])
    }

    /// Arrives at `size` in four steps of `realloc`.
    #[inline(never)]
    pub(super) fn grown(size: usize) -> Vec<u8> {
        counted(|| {
            let mut grown = Vec::new();
            for step in 1..=4 {
                grown.reserve_exact(size / 4 * step);
            }
            grown
        })
    }

    #[inline(never)]
    pub(super) fn drop_all(blocks: Vec<Vec<u8>>) {
        for block in blocks {
            counted(|| drop(block));
        }
    }
}

const RATE: f64 = 524_288.0;

/// Bytes at the default rate, and the standard error of that. A block of s bytes is sampled with p = 1 - e^(-s/rate)
/// and then stands for s/p bytes, so each sample adds (s/p)^2 (1-p) to the variance.
fn estimate(samples: &[&Sample], value: &str) -> (f64, f64, f64) {
    let (mut bytes, mut variance, mut number) = (0.0, 0.0, 0.0);
    for sample in samples {
        let size = sample.number("bytes").expect("heap rows tell their size") as f64;
        let p = -(-size / RATE).exp_m1();
        let n = (sample.value(value) as f64 * p / size).round();
        bytes += sample.value(value) as f64;
        variance += n * (size / p).powi(2) * (1.0 - p);
        number += n;
    }
    (bytes, variance.sqrt(), number)
}

/// Four threads with 8 MiB of blocks of 16 bytes, and 40 MiB of each size up to 1 MiB. Half as much again is allocated
/// and freed on other threads. Gives what stays.
fn fill(seed: u64, times: usize) -> Vec<Vec<Vec<u8>>> {
    let build = |thread: u64| {
        let mut dice = Dice(seed * 1000 + thread);
        let (mut kept, mut passed) = (Vec::new(), Vec::new());
        for class in 0..9 {
            let size = 16 << (2 * class);
            let bytes = if class == 0 { 2 << 20 } else { 10 << 20 } * times;
            for n in 0..bytes / size {
                // At most 1 MiB, in eighths: three sizes a class.
                let size = size - size / 8 * dice.below(3);
                let make = [workload::plain, workload::zeroed, workload::grown][dice.below(3)];
                kept.push(make(size));
                if n % 2 == 0 {
                    passed.push(make(size));
                }
            }
        }
        (kept, passed)
    };
    let (kept, passed): (Vec<_>, Vec<_>) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || build(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).unzip()
    });
    free(passed);
    kept
}

/// Frees on threads that did not allocate.
fn free(blocks: Vec<Vec<Vec<u8>>>) {
    std::thread::scope(|scope| {
        for blocks in blocks {
            scope.spawn(|| workload::drop_all(blocks));
        }
    });
}

/// One run: how many standard errors what is alive was off, and what was ever allocated.
fn run(seed: u64, times: usize, before: f64) -> (f64, f64, f64) {
    let ever = EVER.load(Relaxed);
    let kept = fill(seed, times);
    let exact = LIVE.load(Relaxed) as f64;
    let profile = look();
    let samples = profile.find(&["workload::"]);
    let (bytes, error, number) = estimate(&samples, "inuse_space");
    assert!(number >= 400.0, "a run too lean: {number} samples");
    // Tables of names fill in the first write, so the sampled heap of all else moves; this one stays.
    let (total, all_error, _) = estimate(&samples, "alloc_space");
    let ever = EVER.load(Relaxed) - ever;
    let ever_z = (total - before - ever as f64) / all_error;
    free(kept);
    assert_eq!(LIVE.load(Relaxed), 0, "the count itself is right");
    let profile = look();
    assert_eq!(profile.total_of("inuse_space", &["workload::"]), 0, "what is freed is gone at once");
    assert_eq!(profile.total_of("inuse_objects", &["workload::"]), 0);
    ((bytes - exact) / error, ever_z, total)
}

#[test]
fn live_bytes_are_right_within_their_standard_error() {
    alone("live_bytes_are_right_within_their_standard_error", || {
        // The first stack that is taken reads the unwind tables of all modules into the program's own memory: that is
        // not the workload's.
        profiled::heap::set_rate(1);
        drop(black_box(Box::new(1_u64)));
        profiled::heap::set_rate(RATE as u64);
        let (mut live, mut ever, mut before) = (Vec::new(), Vec::new(), 0.0);
        for seed in 0..20 {
            let (mut live_z, ever_z, total) = run(seed, 1, before);
            before = total;
            if live_z.abs() > 4.0 {
                // One run of 15 000 is that far off by chance; none of twice the length after it.
                (live_z, _, before) = run(seed + 100, 2, before);
            }
            assert!(live_z.abs() <= 4.0, "{live_z} standard errors off, run {seed}: {live:?}");
            live.push(live_z);
            ever.push(ever_z);
        }
        // The mean of 20 independent ones has an error of 1/sqrt(20).
        for (what, errors) in [("live", live), ("ever", ever)] {
            let mean = errors.iter().sum::<f64>() / errors.len() as f64;
            assert!(mean.abs() <= 4.0 / 20_f64.sqrt(), "{what}: {mean} on average: {errors:?}");
        }
    });
}

#[inline(never)]
fn old_data(n: usize) -> Vec<Vec<u8>> {
    let mut data = Vec::with_capacity(n);
    data.extend((0..n).map(|n| Vec::with_capacity(10_000 + n % 3)));
    data
}

#[test]
fn a_new_rate_does_not_falsify_what_is_known() {
    alone("a_new_rate_does_not_falsify_what_is_known", || {
        profiled::heap::set_rate(20_000);
        let data = old_data(3000);
        let before = rows(&look(), "heap_sampled::old_data");
        // And the vector that holds them: one block of 72 000 bytes, sampled with p = 1 - e^(-3.6) = 0.97.
        assert!((3..=4).contains(&before.len()), "three sizes: {before:?}");
        for rate in [5_000, 100_000, 524_288, 1 << 40, 0] {
            profiled::heap::set_rate(rate);
            let profile = read("heap");
            assert_eq!(rows(&profile, "heap_sampled::old_data"), before, "at rate {rate}");
            assert_eq!(profile.period, rate as i64);
        }
        // Freed at another rate than the one they were sampled at.
        drop(data);
        let after = rows(&look(), "heap_sampled::old_data");
        for ((_, before), (_, after)) in before.iter().zip(&after) {
            assert_eq!((before[0], before[1], 0, 0), (after[0], after[1], after[2], after[3]));
        }
        assert_eq!(before.len(), after.len());

        // A rate of 0 takes nothing more, and 1 takes all again.
        drop(workload::zeroed(9_000_000));
        assert_eq!(look().find(&["workload::zeroed"]).len(), 0);
        profiled::heap::set_rate(1);
        drop(workload::zeroed(9_000_000));
        assert_eq!(values(&look(), "workload::zeroed", 9_000_000), exactly(9_000_000, 1, 0));
    });
}

/// Blocks that a thread takes before the rate changes, and as many after.
const EACH: u32 = 100;
const SIZE: usize = 1000;

/// Called before the rate changes and after.
#[inline(never)]
fn held(blocks: &mut Vec<Vec<u8>>) {
    blocks.extend((0..EACH).map(|_| Vec::with_capacity(SIZE)));
}

/// `threads` threads that hold blocks and are somewhere on the way to their next sample when the rate changes, and go
/// on. How many standard errors all they allocated is off, and the blocks.
///
/// A block of s bytes that meets a distance drawn at rate r is sampled with p = 1 - e^(-s/r), and then stands for s/p
/// bytes (Horvitz and Thompson, 1952): a variance of s^2 (1-p)/p. What is exponential has no memory, so this holds for
/// each block, whatever was before it, and variances add up. After the change a thread keeps its distance until it has
/// gone it: block k meets the old rate with probability (1-p)^(k-1), p being the old one, and the new rate otherwise.
fn across(threads: usize, old: u64, new: u64) -> (f64, Vec<Vec<Vec<u8>>>) {
    let estimate = || look().total_of("alloc_space", &["heap_sampled::held"]) as f64;
    let before = estimate();
    profiled::heap::set_rate(old);
    let barrier = Barrier::new(threads + 1);
    let blocks = std::thread::scope(|scope| {
        let life = || {
            let mut blocks = Vec::with_capacity(2 * EACH as usize);
            held(&mut blocks);
            barrier.wait();
            barrier.wait();
            held(&mut blocks);
            blocks
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(life)).collect();
        barrier.wait();
        profiled::heap::set_rate(new);
        barrier.wait();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let p = |rate: u64| -(-(SIZE as f64) / rate as f64).exp_m1();
    let variance = |rate: u64| (1.0 - p(rate)) / p(rate);
    let one: f64 = (0..2 * EACH)
        .map(|k| {
            let still = (1.0 - p(old)).powi((k as i32 - EACH as i32).max(0));
            still * variance(old) + (1.0 - still) * variance(new)
        })
        .sum();
    let error = SIZE as f64 * (threads as f64 * one).sqrt();
    let exact = (threads * 2 * EACH as usize * SIZE) as f64;
    ((estimate() - before - exact) / error, blocks)
}

#[test]
fn a_sample_keeps_the_rate_it_was_drawn_at() {
    alone("a_sample_keeps_the_rate_it_was_drawn_at", || {
        for (old, new) in [(1_000, 100_000), (100_000, 1_000)] {
            let (mut z, mut blocks) = across(300, old, new);
            if z.abs() > 4.0 {
                // One run of 15 000 is that far off by chance; none of twice the length after it.
                (z, blocks) = across(600, old, new);
            }
            assert!(z.abs() <= 4.0, "from {old} to {new}: {z} standard errors off");
            // Whatever the rate is when they are freed, and wherever that is, nothing stays.
            drop(blocks);
            assert_eq!(look().total_of("inuse_space", &["heap_sampled::held"]), 0);
        }
    });
}

/// The thread's very first allocation, on a thread that Rust's library does not know.
extern "C" fn short_life(_: *mut c_void) -> *mut c_void {
    // SAFETY: the size is not zero.
    black_box(unsafe { alloc(Layout::from_size_align(1000, 1).unwrap()) }).cast()
}

#[test]
fn short_threads_are_not_sampled_more_often() {
    alone("short_threads_are_not_sampled_more_often", || {
        const RATE: u64 = 5_000;
        profiled::heap::set_rate(RATE);
        let mut blocks = Vec::new();
        let mut run = |threads: usize| {
            for _ in 0..threads {
                let mut thread = std::mem::MaybeUninit::uninit();
                let mut block = null_mut();
                // SAFETY: the pointers are good, the thread is joined once.
                unsafe {
                    let life = short_life as extern "C" fn(*mut c_void) -> *mut c_void;
                    let failed =
                        libc::pthread_create(thread.as_mut_ptr(), std::ptr::null(), life, null_mut());
                    assert_eq!(failed, 0);
                    libc::pthread_join(thread.assume_init(), &raw mut block);
                }
                blocks.push(block.cast::<u8>());
            }
            let heap = look();
            let objects = values(&heap, "heap_sampled::short_life", 1000)[2] as f64;
            // n threads, each sampled with p = 1 - e^(-1/5) = 0.18 and then counted 1/p times.
            let (n, p) = (blocks.len() as f64, -(-1000.0 / RATE as f64).exp_m1());
            (objects - n) / (n * (1.0 - p) / p).sqrt()
        };
        let mut z = run(4000);
        if z.abs() > 4.0 {
            z = run(8000);
        }
        assert!(z.abs() <= 4.0, "{z} standard errors off");
        for block in blocks {
            // SAFETY: as it was allocated.
            unsafe { dealloc(block, Layout::from_size_align(1000, 1).unwrap()) };
        }
        assert_eq!(values(&look(), "heap_sampled::short_life", 1000)[2..], [0, 0]);
    });
}
