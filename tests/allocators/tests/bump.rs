//! Around an arena that never takes anything back: no address is ever used twice, and every `realloc` moves.
#![expect(unsafe_code, reason = "an allocator")]
use std::alloc::{GlobalAlloc, Layout};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};

use profiled::Allocator;
use profiled_test_allocators::Watch;
use profiled_test_profiles::truth::Exact;

struct Bump;

/// Address space; pages are there once they are touched.
const ROOM: usize = 16 << 30;
static START: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static USED: AtomicUsize = AtomicUsize::new(0);

fn start() -> *mut u8 {
    let start = START.load(Acquire);
    if !start.is_null() {
        return start;
    }
    // SAFETY: new memory, at no place in particular.
    let fresh = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        libc::mmap(null_mut(), ROOM, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
    };
    assert!(fresh != libc::MAP_FAILED);
    // Who comes second leaves some address space unused.
    match START.compare_exchange(null_mut(), fresh.cast(), AcqRel, Acquire) {
        Ok(_) => fresh.cast(),
        Err(theirs) => theirs,
    }
}

// SAFETY: each block is a range of its own, and stays that for ever. `realloc` and `alloc_zeroed` are the trait's own.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = start();
        let mut used = USED.load(Relaxed);
        loop {
            let begin = (start.addr() + used).next_multiple_of(layout.align()) - start.addr();
            let end = begin + layout.size();
            if end > ROOM {
                return null_mut();
            }
            match USED.compare_exchange_weak(used, end, Relaxed, Relaxed) {
                // SAFETY: within the room.
                Ok(_) => return unsafe { start.add(begin) },
                Err(now) => used = now,
            }
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Allocator<Watch<Bump>> = Allocator::new(Watch(Exact(Bump)));

profiled_test_allocators::cases!(in_place: false);
