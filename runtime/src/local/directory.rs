#![expect(unsafe_code, reason = "chunks of the arena, which live for ever")]
//! Where a thread's counters are, by the site's id: those of the first 128 sites side by side, and a directory of small
//! chunks for all others.
//!
//! Most programs have no more sites than are near, and what most of the others call oftenest was called early. To reach
//! a counter there is one load less, which a lock would have to wait for between its two atomic instructions.
//!
//! A thread has chunks for the sites that it calls, whatever others call. Per thread that is some 10 KiB at 10 000
//! sites, 32 at 65 000 (the pages of the directory that are looked at), and 256 bytes for each sixteen neighbouring sites of
//! which it calls any: 1 000 threads that call 50 of 10 000 sites each, here and there, take 20 MB, and not the 160 of an
//! array a thread. Ids are given out at the first call, so that what is called together lies together.
//!
//! A chunk stays where it is from the first event of one of its sites until the thread ends.
use std::alloc::Layout;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use crate::local::counter::Counter;
use crate::store::arena;

/// The id of the first site. 0 is that of a site without one, and the chunk it would be in is never there.
pub(super) const FIRST_ID: u32 = CHUNK as u32;

/// Sites whose counters are near.
pub(super) const NEAR: u32 = 128;

/// Counters of a chunk.
pub(super) const CHUNK: usize = 16;

/// Chunks of a directory: what the upper twelve of an id's sixteen bits tell apart.
const CHUNKS: usize = (1 << 16) / CHUNK;

/// The counters of sixteen sites. Two chunks never share a line, nor a pair of lines that the processor fetches together:
/// their threads write there at every call.
#[repr(align(128))]
pub(super) struct Chunk([Counter; CHUNK]);

/// A thread's counters.
#[repr(C, align(128))]
pub(super) struct Directory {
    near: [Counter; NEAR as usize],
    /// The chunks that it has, null where it has none, and where the counters are near.
    chunks: [AtomicPtr<Chunk>; CHUNKS],
}

/// That of threads that have none.
pub(super) static NOBODYS: Directory = Directory {
    near: [const { Counter::new() }; NEAR as usize],
    chunks: [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS],
};

impl Directory {
    /// An empty one, for ever. `None`: memory is out.
    pub(super) fn new() -> Option<&'static Directory> {
        let memory = arena::allocate(Layout::new::<Directory>())?.cast::<Directory>();
        // SAFETY: the memory has the layout, is ours and zero, and zero is a directory of null pointers. It is not
        // written here: pages that nobody looks at take no memory.
        Some(unsafe { memory.as_ref() })
    }

    /// Where the chunk of this id is. No id has more than sixteen bits.
    #[inline(always)]
    pub(super) fn slot(&self, id: u32) -> &AtomicPtr<Chunk> {
        &self.chunks[usize::from(id as u16) / CHUNK]
    }

    /// The counter of this id, of those `near` counters that are the thread's, or if its chunk is there.
    #[inline(always)]
    pub(super) fn counter(&self, id: u32, near: u32) -> Option<&Counter> {
        debug_assert!(near <= NEAR);
        let place = id.wrapping_sub(FIRST_ID);
        if place < near {
            // SAFETY: `near` is at most their number.
            return Some(unsafe { self.near.get_unchecked(place as usize) });
        }
        // SAFETY: chunks live for ever.
        let chunk = unsafe { self.slot(id).load(Relaxed).as_ref()? };
        Some(&chunk.0[id as usize % CHUNK])
    }

    pub(super) fn near(&self) -> impl Iterator<Item = &Counter> {
        self.near.iter()
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &AtomicPtr<Chunk>> {
        self.chunks.iter()
    }
}

impl Chunk {
    /// A new one, all zero, for ever. `None`: memory is out.
    pub(super) fn new() -> Option<*mut Chunk> {
        arena::allocate(Layout::new::<Chunk>()).map(|memory| memory.cast().as_ptr())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Counter> {
        self.0.iter()
    }

    /// Notes in a chunk that is all zero, and no thread's, which is the next such.
    pub(super) fn link(&self, next: *mut Chunk) {
        self.0[0].count.store(next.expose_provenance() as u64, Relaxed);
    }

    /// Which is the next one; now it is all zero.
    pub(super) fn unlink(&self) -> *mut Chunk {
        ptr::with_exposed_provenance_mut(self.0[0].count.swap(0, Relaxed) as usize)
    }
}
