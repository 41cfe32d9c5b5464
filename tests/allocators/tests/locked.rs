//! Around an allocator with a lock that it holds across `fork`, as jemalloc does: with handlers that it installs when it
//! is first used.
#![expect(unsafe_code, reason = "an allocator")]
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use profiled::Allocator;
use profiled_test_allocators::Watch;
use profiled_test_profiles::truth::Exact;

struct Locked;

static LOCK: AtomicBool = AtomicBool::new(false);
static USED: AtomicBool = AtomicBool::new(false);

extern "C" fn lock() {
    while LOCK.compare_exchange_weak(false, true, Acquire, Relaxed).is_err() {
        std::thread::yield_now();
    }
}

extern "C" fn unlock() {
    LOCK.store(false, Release);
}

fn alone<R>(f: impl FnOnce() -> R) -> R {
    if !USED.swap(true, Relaxed) {
        // SAFETY: the functions are static.
        unsafe { libc::pthread_atfork(Some(lock), Some(unlock), Some(unlock)) };
    }
    lock();
    // A slow one, so that others wait for it, with whatever they hold.
    (0..10).for_each(|_| std::hint::spin_loop());
    let result = f();
    unlock();
    result
}

// SAFETY: all blocks are the system's.
unsafe impl GlobalAlloc for Locked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on.
        alone(|| unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on.
        alone(|| unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        alone(|| unsafe { System.dealloc(block, layout) });
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: passed on.
        alone(|| unsafe { System.realloc(block, layout, size) })
    }
}

#[global_allocator]
static ALLOCATOR: Allocator<Watch<Locked>> = Allocator::new(Watch(Exact(Locked)));

profiled_test_allocators::cases!(in_place: true);
