#![expect(unsafe_code, reason = "slots of the arena, which live for ever")]
//! Slots of one kind, at the same places for ever, used by one owner after another.
//!
//! A thread keeps a few free ones to itself, so that taking a slot and giving it back, on whatever thread, is a few plain
//! loads and stores. What is in a slot outlives its use: a reader who looks at one that is in other hands by now finds
//! atomics of the same kind, and has to be told by the slot that it did.
use std::alloc::Layout;
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{
    AtomicPtr, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

use super::arena;
use crate::fork::Lock;

/// Slots that are made at a time.
const CHUNK: usize = 256;
/// Beyond it there are none: two million.
const MAX_CHUNKS: usize = 8192;
/// How many go between a thread and the others at a time. A thread keeps less than twice as many.
const BATCH: u32 = 32;

/// What can be a slot.
pub(crate) trait Slot: Sized + Sync + 'static {
    /// A free one.
    const FREE: Self;

    /// Where a free one notes the next; a slot that is used may do with it what it likes.
    fn link(&self) -> &AtomicPtr<Self>;
}

/// All slots of a kind.
pub(crate) struct Slab<T: 'static> {
    chunks: [AtomicPtr<T>; MAX_CHUNKS],
    made: AtomicUsize,
    /// The first of those that no thread keeps.
    free: Lock<Free<T>>,
    refused: AtomicU64,
}

struct Free<T>(*const T);

// SAFETY: slots are shared by all threads, and a free one is its list's.
unsafe impl<T: Sync> Send for Free<T> {}

/// What a thread keeps.
pub(crate) struct Cache<T: 'static> {
    first: Cell<*const T>,
    len: Cell<u32>,
}

impl<T> Cache<T> {
    pub(crate) const fn new() -> Cache<T> {
        Cache { first: Cell::new(ptr::null()), len: Cell::new(0) }
    }
}

impl<T: Slot> Slab<T> {
    pub(crate) const fn new() -> Slab<T> {
        Slab {
            chunks: [const { AtomicPtr::new(ptr::null_mut()) }; MAX_CHUNKS],
            made: AtomicUsize::new(0),
            free: Lock::new(Free(ptr::null())),
            refused: AtomicU64::new(0),
        }
    }

    /// A slot for the caller alone. `None`, counted, when memory is out or there are too many.
    #[inline(always)]
    pub(crate) fn take(&self, cache: &Cache<T>) -> Option<&'static T> {
        // SAFETY: null, or a slot, which lives for ever.
        match unsafe { cache.first.get().as_ref() } {
            Some(slot) => {
                cache.first.set(slot.link().load(Relaxed));
                cache.len.set(cache.len.get() - 1);
                Some(slot)
            }
            None => self.refill(cache),
        }
    }

    #[cold]
    #[inline(never)]
    fn refill(&self, cache: &Cache<T>) -> Option<&'static T> {
        let mut free = self.free.lock();
        if free.0.is_null() && !self.make(&mut free) {
            self.refused.fetch_add(1, Relaxed);
            return None;
        }
        // SAFETY: one was there, or was made, under the lock.
        let taken: &'static T = unsafe { &*free.0 };
        let mut next = taken.link().load(Relaxed);
        // The rest of the batch, as it is linked.
        let first = next;
        let mut last: Option<&T> = None;
        let mut len = 0;
        while len < BATCH {
            // SAFETY: links of free slots lead to free slots, or nowhere.
            let Some(slot) = (unsafe { next.as_ref() }) else { break };
            next = slot.link().load(Relaxed);
            last = Some(slot);
            len += 1;
        }
        if let Some(last) = last {
            last.link().store(ptr::null_mut(), Relaxed);
            cache.first.set(first);
            cache.len.set(len);
        }
        free.0 = next;
        Some(taken)
    }

    /// Makes a chunk, all of it free.
    fn make(&self, free: &mut Free<T>) -> bool {
        let made = self.made.load(Relaxed);
        let Some(place) = self.chunks.get(made) else { return false };
        let Ok(layout) = Layout::array::<T>(CHUNK) else { return false };
        let Some(memory) = arena::allocate(layout) else { return false };
        let first = memory.cast::<T>().as_ptr();
        for n in (0..CHUNK).rev() {
            // SAFETY: the memory is ours, and has room and alignment for that many.
            let slot = unsafe {
                let slot = first.add(n);
                slot.write(T::FREE);
                &*slot
            };
            slot.link().store(free.0.cast_mut(), Relaxed);
            free.0 = slot;
        }
        place.store(first, Release);
        self.made.store(made + 1, Release);
        true
    }

    /// Gives back a slot that the caller took and nobody uses any more.
    #[inline(always)]
    pub(crate) fn give(&self, cache: &Cache<T>, slot: &'static T) {
        slot.link().store(cache.first.get().cast_mut(), Relaxed);
        cache.first.set(slot);
        cache.len.set(cache.len.get() + 1);
        if cache.len.get() >= 2 * BATCH {
            self.spill(cache, BATCH);
        }
    }

    /// As [`take`](Self::take), for a thread that keeps none.
    #[cold]
    #[inline(never)]
    pub(crate) fn take_alone(&self) -> Option<&'static T> {
        let cache = Cache::new();
        let slot = self.take(&cache);
        self.flush(&cache);
        slot
    }

    /// As [`give`](Self::give), for a thread that keeps none.
    #[cold]
    #[inline(never)]
    pub(crate) fn give_alone(&self, slot: &'static T) {
        let cache = Cache::new();
        self.give(&cache, slot);
        self.flush(&cache);
    }

    /// Gives up `count` of those that a thread keeps.
    #[cold]
    #[inline(never)]
    fn spill(&self, cache: &Cache<T>, count: u32) {
        let first = cache.first.get();
        let mut last: Option<&T> = None;
        let mut next = first;
        for _ in 0..count {
            // SAFETY: slots, as above.
            let Some(slot) = (unsafe { next.as_ref() }) else { break };
            next = slot.link().load(Relaxed);
            last = Some(slot);
            cache.len.set(cache.len.get() - 1);
        }
        cache.first.set(next);
        let Some(last) = last else { return };
        let mut free = self.free.lock();
        last.link().store(free.0.cast_mut(), Relaxed);
        free.0 = first;
    }

    /// A thread keeps none from here on.
    pub(crate) fn flush(&self, cache: &Cache<T>) {
        self.spill(cache, u32::MAX);
    }

    /// All slots that were ever made.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static T> {
        let made = self.made.load(Acquire);
        self.chunks.iter().take(made).flat_map(|chunk| {
            let first = chunk.load(Acquire);
            // SAFETY: a chunk is complete when it is counted, and lives for ever.
            (0..CHUNK).map(move |n| unsafe { &*first.add(n) })
        })
    }

    /// How often there was none to be had.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    struct Word {
        link: AtomicPtr<Word>,
        owner: AtomicU64,
    }

    impl Slot for Word {
        const FREE: Word = Word { link: AtomicPtr::new(ptr::null_mut()), owner: AtomicU64::new(0) };

        fn link(&self) -> &AtomicPtr<Word> {
            &self.link
        }
    }

    #[test]
    fn no_slot_has_two_owners_and_none_is_lost() {
        static SLAB: Slab<Word> = Slab::new();
        let (send, receive) = std::sync::mpsc::channel::<&'static Word>();
        std::thread::scope(|scope| {
            // Some are taken on one thread and given back on another.
            scope.spawn(move || {
                let cache = Cache::new();
                for slot in receive {
                    assert_eq!(slot.owner.swap(0, Relaxed), 9);
                    SLAB.give(&cache, slot);
                }
                SLAB.flush(&cache);
            });
            for owner in 1..=4 {
                let send = send.clone();
                scope.spawn(move || {
                    let cache = Cache::new();
                    for round in 0..200 {
                        let taken: Vec<_> = (0..100).map(|_| SLAB.take(&cache).expect("memory")).collect();
                        for slot in &taken {
                            assert_eq!(slot.owner.swap(owner, Relaxed), 0, "somebody has it");
                        }
                        for (n, slot) in taken.into_iter().enumerate() {
                            let elsewhere = (n + round) % 3 == 0;
                            assert_eq!(slot.owner.swap(if elsewhere { 9 } else { 0 }, Relaxed), owner);
                            if elsewhere {
                                send.send(slot).unwrap();
                            } else {
                                SLAB.give(&cache, slot);
                            }
                        }
                    }
                    SLAB.flush(&cache);
                });
            }
            drop(send);
        });
        // All that were made can be taken again, each once, and no more had to be made.
        let made = SLAB.iter().count();
        let cache = Cache::new();
        let all: HashSet<_> = (0..made).map(|_| ptr::from_ref(SLAB.take(&cache).expect("memory"))).collect();
        assert_eq!((all.len(), SLAB.iter().count(), SLAB.refused()), (made, made, 0));
    }
}
