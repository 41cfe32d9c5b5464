#![expect(unsafe_code, reason = "records of a length known only at run time, linked without a lock")]
//! Slices kept once: append-only, immutable, found by their content. Stacks and label sets live here.
//!
//! A record is written whole before it is linked, and never changes or moves after: whoever has a reference may
//! keep it. Any thread may intern, from hooks too (the memory comes from the arena), but not a signal handler.
use std::alloc::Layout;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::{ptr, slice};

use super::arena;

/// What can be an element: it gives its share of the hash.
pub(crate) trait Element: Copy + PartialEq {
    /// The element as a word; equal elements give equal words.
    fn word(&self) -> u64;
}

impl Element for u64 {
    fn word(&self) -> u64 {
        *self
    }
}

impl Element for u8 {
    fn word(&self) -> u64 {
        u64::from(*self)
    }
}

/// An interned slice, the tag it was interned with, and the value kept beside it.
#[repr(C)]
pub(crate) struct Record<T: 'static, V: 'static = ()> {
    next: AtomicPtr<Record<T, V>>,
    hash: u64,
    tag: u32,
    len: u32,
    value: V,
    // `len` elements follow. The empty array aligns the record, and so its end, for them.
    elements: [T; 0],
}

impl<T: Copy> Record<T> {
    /// A record without elements, for when there is no memory to make a real one.
    pub(crate) const fn empty() -> Record<T> {
        Record { next: AtomicPtr::new(ptr::null_mut()), hash: 0, tag: 0, len: 0, value: (), elements: [] }
    }
}

impl<T: Copy, V> Record<T, V> {
    /// The value: it starts as its default, and changes only by its own atomics.
    pub(crate) fn value(&self) -> &V {
        &self.value
    }

    /// The elements.
    pub(crate) fn elements(&self) -> &[T] {
        // SAFETY: `insert` wrote `len` elements right behind the record before anyone could see it.
        unsafe { slice::from_raw_parts(ptr::from_ref(self).add(1).cast::<T>(), self.len as usize) }
    }

    /// The tag.
    pub(crate) fn tag(&self) -> u32 {
        self.tag
    }
}

/// A set of at most `LIMIT` interned slices, in `CHAINS` chains: 64 Ki of them keep a chain at one or two records for
/// 100 000 stacks, and cost nothing until they are touched: all zeros, they take no room in a program's file.
pub(crate) struct Table<T: 'static, V: 'static, const LIMIT: usize, const CHAINS: usize = 65_536> {
    chains: [AtomicPtr<Record<T, V>>; CHAINS],
    count: AtomicUsize,
    refused: AtomicUsize,
}

impl<T: Element, V: Default, const LIMIT: usize, const CHAINS: usize> Table<T, V, LIMIT, CHAINS> {
    pub(crate) const fn new() -> Self {
        Table {
            chains: [const { AtomicPtr::new(ptr::null_mut()) }; CHAINS],
            count: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        }
    }

    /// The one record of these elements and this tag, or `None`, counted, when the table is full.
    pub(crate) fn intern(&'static self, elements: &[T], tag: u32) -> Option<&'static Record<T, V>> {
        self.intern_up_to(LIMIT, elements, tag)
    }

    /// The same without the limit, for the few records that take what found no room.
    pub(crate) fn intern_beyond(&'static self, elements: &[T], tag: u32) -> Option<&'static Record<T, V>> {
        self.intern_up_to(usize::MAX, elements, tag)
    }

    fn intern_up_to(&'static self, limit: usize, elements: &[T], tag: u32) -> Option<&'static Record<T, V>> {
        let hash = hash(elements, tag);
        let head = &self.chains[hash as usize % CHAINS];
        if let Some(found) = find(head.load(Ordering::Acquire), ptr::null_mut(), hash, elements, tag) {
            return Some(found);
        }
        if self.count.load(Ordering::Relaxed) >= limit {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let record = insert(head, hash, elements, tag);
        match record {
            Some((_, true)) => _ = self.count.fetch_add(1, Ordering::Relaxed),
            Some(_) => {}
            None => _ = self.refused.fetch_add(1, Ordering::Relaxed),
        }
        record.map(|(record, _)| record)
    }

    /// Every record, in no order. What is interned meanwhile may be among them or not.
    pub(crate) fn iter(&'static self) -> impl Iterator<Item = &'static Record<T, V>> {
        self.chains.iter().flat_map(|head| {
            let mut record = head.load(Ordering::Acquire);
            std::iter::from_fn(move || {
                // SAFETY: linked records are complete and live for ever.
                let found: &'static Record<T, V> = unsafe { record.as_ref()? };
                record = found.next.load(Ordering::Acquire);
                Some(found)
            })
        })
    }

    /// How many records there are.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// How often a slice found no room.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }
}

/// FxHash over words, good enough for return addresses: two instructions an element. Each would wait for the one before,
/// so that four hashes run side by side, each over every fourth element.
fn hash<T: Element>(elements: &[T], tag: u32) -> u64 {
    const SEED: u64 = 0x517c_c1b7_2722_0a95;
    let add = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(SEED);
    let mut lanes = [u64::from(tag).wrapping_mul(SEED), 1, 2, 3];
    let (fours, rest) = elements.as_chunks::<4>();
    for four in fours {
        for (lane, element) in lanes.iter_mut().zip(four) {
            *lane = add(*lane, element.word());
        }
    }
    let hash = rest.iter().map(Element::word).chain(lanes).fold(0, add);
    hash ^ (hash >> 32)
}

/// Walks a chain from `from` until `until`.
fn find<T: Element, V>(
    mut from: *mut Record<T, V>,
    until: *mut Record<T, V>,
    hash: u64,
    elements: &[T],
    tag: u32,
) -> Option<&'static Record<T, V>> {
    while from != until && !from.is_null() {
        // SAFETY: linked records are complete and live for ever.
        let record: &'static Record<T, V> = unsafe { &*from };
        if record.hash == hash && record.tag == tag && record.elements() == elements {
            return Some(record);
        }
        from = record.next.load(Ordering::Acquire);
    }
    None
}

/// Links a new record, and says whether it is new: another thread may have been first. `None`: no memory.
fn insert<T: Element, V: Default>(
    head: &AtomicPtr<Record<T, V>>,
    hash: u64,
    elements: &[T],
    tag: u32,
) -> Option<(&'static Record<T, V>, bool)> {
    let layout = Layout::new::<Record<T, V>>().extend(Layout::for_value(elements)).ok()?.0;
    let record = arena::allocate(layout)?.cast::<Record<T, V>>().as_ptr();
    let mut seen = head.load(Ordering::Acquire);
    let new = Record {
        next: AtomicPtr::new(seen),
        hash,
        tag,
        len: elements.len() as u32,
        value: V::default(),
        elements: [],
    };
    // SAFETY: the memory is fresh, of the record's layout plus the elements behind it, and ours until linked.
    unsafe {
        record.write(new);
        ptr::copy_nonoverlapping(elements.as_ptr(), record.add(1).cast(), elements.len());
    }
    let mut checked = ptr::null_mut();
    loop {
        // Only what was linked since the last look can be this slice: two threads may have met it at once.
        // The record that lost stays unused in the arena, a few hundred bytes for each such meeting.
        if let Some(found) = find(seen, checked, hash, elements, tag) {
            return Some((found, false));
        }
        checked = seen;
        // SAFETY: not linked yet, so still ours.
        unsafe { &*record }.next.store(seen, Ordering::Relaxed);
        match head.compare_exchange(seen, record, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: complete, linked, and never freed.
            Ok(_) => return Some((unsafe { &*record }, true)),
            Err(now) => seen = now,
        }
    }
}
