#![expect(unsafe_code, reason = "implements `GlobalAlloc` around another")]
//! The allocator inside, and nothing around it.
use std::alloc::{GlobalAlloc, Layout, System};

/// The global allocator that profiles the heap: switched off, yours as it is.
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

    /// Counts nothing.
    pub const fn counting(self) -> Self {
        self
    }
}

// SAFETY: every call is forwarded with the arguments it came with, and what the inner allocator returned is returned
// unchanged.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Allocator<A> {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.inner.alloc(layout) }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.inner.dealloc(block, layout) }
    }

    #[inline(always)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.inner.alloc_zeroed(layout) }
    }

    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.inner.realloc(block, layout, new_size) }
    }
}
