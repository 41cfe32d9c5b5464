#![expect(unsafe_code, reason = "buffers that a thread fills while others read what is done of them")]
//! Buffers of events: taken by threads, read by the hub while they fill, given back by the hub when they are full and read.
//!
//! A buffer has one writer at a time. It publishes how far it has come with each event, and never touches what is before
//! that; so the hub reads along without anybody's help, and a thread that never says anything again keeps nothing back.
use std::cell::UnsafeCell;
use std::sync::atomic::{
    AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed,
    Ordering::Release,
};

use crate::store::arena;

/// Bytes of events in a buffer: some thousands.
pub(super) const ROOM: usize = (32 << 10) - 64;
/// Buffers there are at the most: 32 MiB.
pub(super) const MOST: usize = 1024;

const FREE: u8 = 0;
const FILLING: u8 = 1;
const FULL: u8 = 2;

#[repr(C, align(64))]
pub(super) struct Buffer {
    /// Where it stands in [`BUFFERS`].
    at: AtomicU32,
    /// The recording it belongs to: see `record`.
    pub(super) recording: AtomicU32,
    /// The number of the thread whose events these are.
    pub(super) thread: AtomicU32,
    /// How many buffers this thread filled before.
    pub(super) order: AtomicU32,
    /// Ticks that the first event counts from.
    pub(super) begin: AtomicU64,
    /// Bytes that are written.
    len: AtomicUsize,
    data: UnsafeCell<[u8; ROOM]>,
}

// SAFETY: bytes before `len` are not written any more as long as the buffer is not free, and those after it are its one
// writer's.
unsafe impl Sync for Buffer {}

static BUFFERS: [AtomicPtr<Buffer>; MOST] = [const { AtomicPtr::new(std::ptr::null_mut()) }; MOST];
/// What each of them is, side by side: whoever looks for a free one looks at some lines, and not at every buffer.
static STATES: [AtomicU8; MOST] = [const { AtomicU8::new(FREE) }; MOST];
/// How many of the places were ever used.
static USED: AtomicUsize = AtomicUsize::new(0);

/// Those that have been used, in no order.
pub(super) fn all() -> impl Iterator<Item = &'static Buffer> {
    BUFFERS[..USED.load(Acquire).min(MOST)].iter().filter_map(known)
}

fn known(place: &AtomicPtr<Buffer>) -> Option<&'static Buffer> {
    // SAFETY: null, or a buffer of the arena, which lives for ever.
    unsafe { place.load(Acquire).as_ref() }
}

/// A free buffer, for the caller alone to fill: the first there is, so that the same few are used as long as the hub keeps
/// up. `None`: there is none. Takes no lock and waits for nobody.
pub(super) fn take() -> Option<&'static Buffer> {
    let is_ours = |state: &AtomicU8| {
        state.load(Relaxed) == FREE && state.compare_exchange(FREE, FILLING, Acquire, Relaxed).is_ok()
    };
    let at = STATES.iter().position(is_ours)?;
    let buffer = known(&BUFFERS[at]).or_else(|| new(at));
    if buffer.is_none() {
        STATES[at].store(FREE, Relaxed);
    }
    buffer
}

/// A new one at this place, which is the caller's.
fn new(at: usize) -> Option<&'static Buffer> {
    let fresh = arena::allocate(std::alloc::Layout::new::<Buffer>())?.cast::<Buffer>();
    // SAFETY: zeroed memory of this layout is an empty buffer, which lives for ever.
    let buffer: &'static Buffer = unsafe { fresh.as_ref() };
    buffer.at.store(at as u32, Relaxed);
    BUFFERS[at].store(fresh.as_ptr(), Release);
    USED.fetch_max(at + 1, Release);
    Some(buffer)
}

impl Buffer {
    fn state(&self) -> &'static AtomicU8 {
        &STATES[self.at.load(Relaxed) as usize % MOST]
    }

    pub(super) fn recording(&self) -> u32 {
        self.recording.load(Relaxed)
    }

    pub(super) fn thread(&self) -> u32 {
        self.thread.load(Relaxed)
    }

    pub(super) fn began(&self) -> u64 {
        self.begin.load(Relaxed)
    }

    /// Where it stands among all of its thread.
    pub(super) fn place(&self) -> (u32, u32) {
        (self.thread(), self.order.load(Relaxed))
    }

    /// Where the next event goes, and how much room there is from there on. For the writer.
    pub(super) fn start(&self) -> *mut u8 {
        self.data.get().cast()
    }

    /// Everything before `at` is done. For the writer.
    #[inline(always)]
    pub(super) fn publish(&self, at: *const u8) {
        self.len.store(at.addr() - self.data.get().addr(), Release);
    }

    /// Whoever filled it writes no more.
    pub(super) fn hand_over(&self) {
        self.state().store(FULL, Release);
    }

    /// Whether it has an owner or events that nobody read; and whether no more will come. For the hub.
    pub(super) fn is_used(&self) -> Option<bool> {
        match self.state().load(Acquire) {
            FREE => None,
            state => Some(state == FULL),
        }
    }

    /// What was written so far. For the hub, which alone frees it.
    pub(super) fn written(&self) -> &[u8] {
        let len = self.len.load(Acquire).min(ROOM);
        // SAFETY: what is before `len` was written before that was stored, and is not written any more.
        unsafe { std::slice::from_raw_parts(self.data.get().cast(), len) }
    }

    /// Everything in it has been read. For the hub, once it is full.
    pub(super) fn free(&self) {
        self.len.store(0, Relaxed);
        self.state().store(FREE, Release);
    }
}

/// In a forked child nobody fills any of them but the calling thread, which forgets its own.
pub(super) fn after_fork_in_child() {
    all().for_each(Buffer::free);
}
