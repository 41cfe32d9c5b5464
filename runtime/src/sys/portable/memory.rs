#![expect(unsafe_code, reason = "allocates memory")]
//! Memory from beneath the program's allocator: the standard library's `System`, whatever `#[global_allocator]` says.
use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::NonNull;

/// What callers may count on, as they could with pages.
const PAGE: usize = 4096;

/// Zeroed memory, at least `size` bytes, aligned to 4 KiB, or `None` when the system has none left.
///
/// It is asked for with a small alignment and aligned here: large blocks that nobody touches then cost nothing on the
/// usual systems, which zero them by not having them yet.
pub(crate) fn map(size: usize) -> Option<NonNull<u8>> {
    // SAFETY: the size is not 0.
    let block = NonNull::new(unsafe { System.alloc_zeroed(layout(size)?) })?;
    let start = block.addr().get() + size_of::<NonNull<u8>>();
    let skipped = start.next_multiple_of(PAGE) - block.addr().get();
    // SAFETY: `layout` has room for `PAGE` bytes before `size`, and where the block begins is noted in the last of them.
    unsafe {
        let memory = block.add(skipped);
        memory.cast::<NonNull<u8>>().sub(1).write(block);
        Some(memory)
    }
}

/// Gives back what [`map`] returned. Nobody may use it afterwards.
pub(crate) fn unmap(memory: NonNull<u8>, size: usize) {
    let Some(layout) = layout(size) else { return };
    // SAFETY: the caller had it from `map` with this size, and is the last to know it.
    unsafe { System.dealloc(memory.cast::<NonNull<u8>>().sub(1).read().as_ptr(), layout) };
}

/// The line of the cache that `at` is in is soon written to: here that is found out when it is.
#[inline(always)]
pub(crate) fn about_to_write(_at: *const u8) {}

/// How many bytes of `memory` cost anything: nobody tells, so all of them.
pub(crate) fn touched<T>(memory: &[T]) -> usize {
    size_of_val(memory)
}

fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(PAGE)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zeroed_and_aligned_and_goes_back() {
        for size in [1, 4096, 1 << 20] {
            for _ in 0..100 {
                let memory = map(size).unwrap();
                assert!(memory.addr().get().is_multiple_of(PAGE));
                // SAFETY: just mapped, and ours.
                let bytes = unsafe { std::slice::from_raw_parts_mut(memory.as_ptr(), size) };
                assert!(bytes.iter().all(|&byte| byte == 0));
                bytes.fill(7);
                unmap(memory, size);
            }
        }
        assert!(map(usize::MAX).is_none());
    }
}
