#![expect(unsafe_code, reason = "hands out raw memory that was mapped from beneath the allocator")]
//! Memory from beneath the allocator: what the hooks need while they stand in the middle of an allocation.
//!
//! Chunks are mapped and never given back; what is placed here lives as long as the process, which is what lets a
//! snapshot hold plain references. Any thread may call, at any time except in a signal handler.
use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::sys;

/// A chunk is mapped whole; its pages cost memory only once they are touched.
const CHUNK: usize = 1 << 20;

/// The head of a chunk. The bytes behind it, up to `CHUNK`, are handed out from `used` on.
#[repr(C, align(64))]
struct Chunk {
    used: AtomicUsize,
}

static CURRENT: AtomicPtr<Chunk> = AtomicPtr::new(std::ptr::null_mut());
static MAPPED: AtomicUsize = AtomicUsize::new(0);

/// Bytes mapped so far, for the accounts of our own memory.
pub(crate) fn mapped() -> usize {
    MAPPED.load(Ordering::Relaxed)
}

/// Zeroed memory of this layout for ever, or `None` when the system has none left.
pub(crate) fn allocate(layout: Layout) -> Option<NonNull<u8>> {
    if layout.size() > CHUNK / 4 || layout.align() > 128 {
        return map(layout.size());
    }
    loop {
        let chunk = CURRENT.load(Ordering::Acquire);
        // SAFETY: a published chunk is never unmapped.
        if let Some(head) = unsafe { chunk.as_ref() } {
            let mut used = head.used.load(Ordering::Relaxed);
            loop {
                let start = used.next_multiple_of(layout.align());
                let end = start + layout.size();
                if end > CHUNK {
                    break;
                }
                match head.used.compare_exchange_weak(used, end, Ordering::Relaxed, Ordering::Relaxed) {
                    // SAFETY: `start..end` lies in the chunk and the exchange made it ours alone.
                    Ok(_) => return Some(unsafe { NonNull::new_unchecked(chunk.cast::<u8>().add(start)) }),
                    Err(now) => used = now,
                }
            }
        }
        let fresh = map(CHUNK)?.cast::<Chunk>();
        // SAFETY: the mapping is fresh, large enough, aligned to a page and ours.
        unsafe { fresh.as_ref() }.used.store(size_of::<Chunk>(), Ordering::Relaxed);
        // The loser's chunk was never seen by anyone and goes back.
        if CURRENT.compare_exchange(chunk, fresh.as_ptr(), Ordering::AcqRel, Ordering::Relaxed).is_err() {
            MAPPED.fetch_sub(CHUNK, Ordering::Relaxed);
            sys::memory::unmap(fresh.cast(), CHUNK);
        }
    }
}

/// Places `value` for ever.
pub(crate) fn place<T: Sync>(value: T) -> Option<&'static T> {
    let place = allocate(Layout::new::<T>())?.cast::<T>();
    // SAFETY: the memory has the layout of `T`, is ours alone, and is never freed.
    unsafe {
        place.write(value);
        Some(place.as_ref())
    }
}

fn map(size: usize) -> Option<NonNull<u8>> {
    let memory = sys::memory::map(size)?;
    MAPPED.fetch_add(size, Ordering::Relaxed);
    Some(memory)
}

/// A place in a static or a record that gets its value, in the arena, when it is first needed. Never waits.
pub(crate) struct Placed<T: 'static>(AtomicPtr<T>);

impl<T: Sync> Placed<T> {
    pub(crate) const fn new() -> Placed<T> {
        Placed(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// The value, if it is there.
    pub(crate) fn get(&self) -> Option<&'static T> {
        // SAFETY: only `get_or_place` stores, and what it stores is placed for ever.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// The value; `make` may run although another thread's value is taken. `None` when memory is out.
    pub(crate) fn get_or_place(&self, make: impl FnOnce() -> T) -> Option<&'static T> {
        self.get().or_else(|| {
            let fresh = std::ptr::from_ref(place(make())?).cast_mut();
            let null = std::ptr::null_mut();
            _ = self.0.compare_exchange(null, fresh, Ordering::AcqRel, Ordering::Acquire);
            self.get()
        })
    }
}

impl<T> Placed<T> {
    /// As if it had never got a value. The old one stays where it is, for whoever still has it.
    pub(crate) fn forget(&self) {
        self.0.store(std::ptr::null_mut(), Ordering::Release);
    }
}

/// A place where one of those that live for ever is noted, or none.
pub(crate) struct Noted<T: 'static>(AtomicPtr<T>);

impl<T: Sync> Noted<T> {
    pub(crate) const fn new() -> Noted<T> {
        Noted(AtomicPtr::new(std::ptr::null_mut()))
    }

    #[inline(always)]
    pub(crate) fn set(&self, value: Option<&'static T>) {
        let value = value.map_or(std::ptr::null_mut(), |value| std::ptr::from_ref(value).cast_mut());
        self.0.store(value, Ordering::Release);
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&'static T> {
        // SAFETY: only `set` stores.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }
}

impl<T> std::fmt::Debug for Placed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Placed")
    }
}

impl<T> Default for Placed<T> {
    fn default() -> Placed<T> {
        Placed(AtomicPtr::new(std::ptr::null_mut()))
    }
}
