#![expect(unsafe_code, reason = "maps memory")]
//! Pages from beneath the allocator.
use std::ffi::c_void;
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

/// The line of the cache that `at` is in is soon written to: it is fetched meanwhile, from whoever has it. Any address will do.
#[inline(always)]
pub(crate) fn about_to_write(at: *const u8) {
    // SAFETY: a hint, which reads and writes nothing, and processors that lack it do nothing. `_mm_prefetch` is another one unless
    // the processor is named to the compiler: it fetches a line to be read, which has to be asked for again.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) at, options(readonly, nostack, preserves_flags));
    }
}

/// How many bytes of `memory`'s pages are there: one that was never written costs nothing.
pub(crate) fn touched<T>(memory: &[T]) -> usize {
    const PAGE: usize = 4096;
    let start = (&raw const *memory).addr() & !(PAGE - 1);
    let len = (&raw const *memory).addr() + size_of_val(memory) - start;
    let mut pages = vec![0_u8; len.div_ceil(PAGE)];
    let start = (&raw const *memory).cast::<c_void>().with_addr(start).cast_mut();
    // SAFETY: the pages of a slice that is there, and a byte for each.
    let failed = unsafe { libc::mincore(start, len, pages.as_mut_ptr()) } != 0;
    if failed { 0 } else { pages.iter().filter(|&&page| page & 1 != 0).count() * PAGE }
}
