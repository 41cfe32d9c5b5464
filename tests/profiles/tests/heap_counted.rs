//! `heap::stats`, held against an allocator that counts everything itself.
#![cfg(not(profiled_portable))]
#![expect(unsafe_code, reason = "an allocator, and threads by hand")]
use std::alloc::{GlobalAlloc, Layout, System, alloc, dealloc, realloc};
use std::cell::RefCell;
use std::ffi::c_void;
use std::hint::black_box;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use profiled::heap::{Stats, stats};
use profiled_test_profiles::{alone, stress, text};

/// The system's, counting.
#[derive(Clone, Copy)]
struct Counting;

static BYTES: AtomicI64 = AtomicI64::new(0);
static BLOCKS: AtomicI64 = AtomicI64::new(0);
static EVER: AtomicI64 = AtomicI64::new(0);

fn count(blocks: i64, bytes: i64) {
    BLOCKS.fetch_add(blocks, Relaxed);
    BYTES.fetch_add(bytes, Relaxed);
    EVER.fetch_add(blocks.max(0), Relaxed);
}

// SAFETY: all blocks are the system's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() == REFUSED {
            return null_mut();
        }
        count(1, layout.size() as i64);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-1, -(layout.size() as i64));
        // SAFETY: passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size == REFUSED {
            return null_mut();
        }
        count(-1, -(layout.size() as i64));
        count(1, size as i64);
        // SAFETY: passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

const REFUSED: usize = 54_321;

#[global_allocator]
static ALLOCATOR: profiled::Allocator<Counting> = profiled::Allocator::new(Counting).counting();

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 1).unwrap()
}

fn exact(stats: &Stats) -> [i64; 3] {
    let exact = [stats.live_bytes, stats.live_objects, stats.allocated_objects];
    assert!(exact.iter().all(|figure| figure.standard_error == 0), "{stats:?}");
    exact.map(|figure| figure.value as i64)
}

/// The figures and the truth agree, to the byte. Nothing else may run meanwhile.
#[track_caller]
fn assert_exact() {
    let truth = || [&BYTES, &BLOCKS, &EVER].map(|count| count.load(Relaxed));
    let before = truth();
    let stats = stats();
    let after = truth();
    assert_eq!(before[..2], after[..2], "it keeps nothing");
    assert_eq!(exact(&stats), after);
}

/// A block that a thread leaves behind, and what it frees of others.
extern "C" fn foreign_life(_: *mut c_void) -> *mut c_void {
    // SAFETY: the size is not zero.
    black_box(unsafe { alloc(layout(3000)) }).cast()
}

struct LastWords;

impl Drop for LastWords {
    fn drop(&mut self) {
        drop(black_box(vec![1_u8; 777]));
        std::mem::forget(black_box(vec![1_u8; 111]));
    }
}

thread_local! {
    static WORDS: RefCell<Option<LastWords>> = const { RefCell::new(None) };
}

fn threads_of_all_kinds() {
    std::thread::scope(|scope| {
        for n in 0..20_usize {
            scope.spawn(move || {
                WORDS.with(|words| *words.borrow_mut() = Some(LastWords));
                let mut blocks = vec![];
                for size in 1..200 {
                    blocks.push(black_box(vec![1_u8; size * (n + 1)]));
                    if size % 3 == 0 {
                        blocks.swap_remove(n % blocks.len());
                    }
                }
            });
        }
    });
    for _ in 0..50 {
        let (mut thread, mut block) = (std::mem::MaybeUninit::uninit(), null_mut());
        // SAFETY: the pointers are good, the thread is joined once, and its block is as it was allocated.
        unsafe {
            assert_eq!(
                libc::pthread_create(thread.as_mut_ptr(), std::ptr::null(), foreign_life, null_mut()),
                0
            );
            libc::pthread_join(thread.assume_init(), &raw mut block);
            dealloc(block.cast(), layout(3000));
        }
    }
}

#[test]
fn what_is_alive_is_counted_to_the_byte() {
    alone("what_is_alive_is_counted_to_the_byte", || {
        settle();
        // What the standard library sets up at the first thread-local of a kind, or the first look at a file, stays.
        _ = stats();
        assert_exact();
        for rate in [524_288, 1, 0, 1000] {
            profiled::heap::set_rate(rate);
            let kept: Vec<Vec<u8>> = (0..1000).map(|n| vec![0; n + 1]).collect();
            assert_exact();
            threads_of_all_kinds();
            assert_exact();
            drop(kept);
            // Our own reading of a profile comes and goes, too, and leaves what it remembers.
            drop(text("heap", 1));
            assert_exact();
        }
    });
}

/// Exactly what the program allocates, whether blocks are counted or not: it is told from the countdowns.
#[test]
fn what_was_ever_allocated_is_known_to_the_byte() {
    alone("what_was_ever_allocated_is_known_to_the_byte", || {
        settle();
        let allocated = || {
            let allocated = stats().allocated_bytes;
            assert_eq!(allocated.standard_error, 0);
            allocated.value
        };
        for rate in [524_288, 100, 1, 0, 1 << 60] {
            profiled::heap::set_rate(rate);
            let before = allocated();
            assert_eq!(allocated(), before, "what it takes to tell is not the program's");
            // SAFETY: the sizes are not zero, and blocks go back as they are.
            unsafe {
                // The compiler knows what an allocator does, and would rather do without.
                let mut block = black_box(alloc(layout(1000)));
                block = black_box(realloc(block, layout(1000), 5000));
                assert!(black_box(realloc(block, layout(5000), REFUSED)).is_null());
                assert!(black_box(alloc(layout(REFUSED))).is_null());
                dealloc(block, layout(5000));
            }
            assert_eq!(allocated() - before, 6000, "at rate {rate}");
            let threads = 16;
            let before = allocated();
            for _ in 0..threads {
                let (mut thread, mut block) = (std::mem::MaybeUninit::uninit(), null_mut());
                // SAFETY: as above.
                unsafe {
                    libc::pthread_create(thread.as_mut_ptr(), std::ptr::null(), foreign_life, null_mut());
                    libc::pthread_join(thread.assume_init(), &raw mut block);
                    dealloc(block.cast(), layout(3000));
                }
            }
            assert_eq!(allocated() - before, threads * 3000, "at rate {rate}, on threads that have ended");
        }
        assert_eq!(stats().refused, 10);
    });
}

/// Whatever becomes of the test, its threads end.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Until the thread that waits for this test does so: it takes a few blocks for that.
fn settle() {
    let mut before = -1;
    while before != EVER.load(Relaxed) {
        before = EVER.load(Relaxed);
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// While threads allocate, the total only grows, and never by more than they can have allocated.
#[test]
fn the_total_never_jumps() {
    alone("the_total_never_jumps", || {
        profiled::heap::set_rate(64);
        let stop = AtomicBool::new(false);
        let ever = AtomicI64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Relaxed) {
                        ever.fetch_add(48, Relaxed);
                        // SAFETY: the size is not zero.
                        unsafe { dealloc(black_box(alloc(layout(48))), layout(48)) };
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(100));
            // Whatever is counted between the two looks makes the bound wider.
            let ever_begin = ever.load(Relaxed);
            let begin = stats().allocated_bytes.value as i64;
            let mut last = begin;
            let end = Instant::now() + stress();
            let _stop = Stop(&stop);
            while Instant::now() < end {
                let now = stats().allocated_bytes.value as i64;
                assert!(now >= last, "{now} after {last}");
                // Two threads are between their two counts at the most, here and at the beginning; and the thread that
                // waits for this test may take a few blocks of its own.
                let most = ever.load(Relaxed) - ever_begin + 4 * 48 + 1000;
                assert!(now - begin <= most, "{} of {most}", now - begin);
                last = now;
            }
        });
    });
}

#[test]
fn the_text_ends_with_the_figures() {
    alone("the_text_ends_with_the_figures", || {
        let kept = black_box(vec![1_u8; 10_000_000]);
        for name in ["heap", "allocs"] {
            let text = text(name, 1);
            let lines: Vec<&str> = text.lines().rev().take_while(|line| line.starts_with("# ")).collect();
            let figure = |name: &str| -> u64 {
                let line = lines.iter().find_map(|line| line.strip_prefix(&format!("# {name} = ")));
                line.unwrap_or_else(|| panic!("no {name} in {lines:#?}")).parse().unwrap()
            };
            // What reading names takes is in it, too, and said to be.
            assert!((10_000_000..80_000_000).contains(&figure("Alloc")), "{lines:#?}");
            assert!(
                lines.contains(&"# Alloc and HeapObjects have what the profiler itself allocates, too"),
                "{lines:#?}"
            );
            assert_eq!(figure("Alloc"), figure("HeapAlloc"));
            assert!(figure("TotalAlloc") >= 10_000_000);
            assert_eq!(figure("Mallocs") - figure("Frees"), figure("HeapObjects"));
            assert!(figure("BuckHashSys") > 100_000);
            assert!(figure("MaxRSS") > 10_000_000);
            assert!(!lines.iter().any(|line| line.contains("estimate")), "{lines:#?}");
        }
        drop(kept);
    });
}
