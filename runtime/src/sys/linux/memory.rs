#![expect(unsafe_code, reason = "maps memory")]
//! Pages from beneath the allocator.
use std::ptr::{self, NonNull};

/// Zeroed pages, at least `size` bytes, or `None` when the system has none left. They cost memory once touched.
pub(crate) fn map(size: usize) -> Option<NonNull<u8>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh anonymous mapping touches nothing that exists.
    let memory = unsafe { libc::mmap(ptr::null_mut(), size, protection, flags, -1, 0) };
    if memory == libc::MAP_FAILED { None } else { NonNull::new(memory.cast()) }
}

/// Gives back what [`map`] returned. Nobody may use it afterwards.
pub(crate) fn unmap(memory: NonNull<u8>, size: usize) {
    // SAFETY: the caller had it from `map` with this size, and is the last to know it.
    _ = unsafe { libc::munmap(memory.as_ptr().cast(), size) };
}
