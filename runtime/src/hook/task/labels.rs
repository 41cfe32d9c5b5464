//! The labels that a future began under, encoded and not interned: sets that nobody asks for may be as many as there are
//! requests.
use std::ptr;
use std::sync::atomic::{
    AtomicPtr, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

use crate::label::MAX_BYTES;
use crate::store::slab::{Slab, Slot};

/// Words that hold an encoded set.
const WORDS: usize = MAX_BYTES.div_ceil(8);

pub(super) struct Encoded {
    link: AtomicPtr<Encoded>,
    len: AtomicUsize,
    words: [AtomicU64; WORDS],
}

impl Slot for Encoded {
    const FREE: Encoded = Encoded {
        link: AtomicPtr::new(ptr::null_mut()),
        len: AtomicUsize::new(0),
        words: [const { AtomicU64::new(0) }; WORDS],
    };

    fn link(&self) -> &AtomicPtr<Encoded> {
        &self.link
    }
}

pub(super) static LABELS: Slab<Encoded> = Slab::new();

impl Encoded {
    /// For whoever has just taken the slot.
    pub(super) fn set(&self, encoded: &[u8]) {
        let encoded = encoded.get(..MAX_BYTES).unwrap_or(encoded);
        for (word, bytes) in self.words.iter().zip(encoded.chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), Relaxed);
        }
        self.len.store(encoded.len(), Release);
    }

    /// A copy. It may be nonsense if the slot has changed hands meanwhile, which the caller has to find out.
    pub(super) fn copy(&self) -> Vec<u8> {
        let len = self.len.load(Acquire);
        let mut bytes: Vec<u8> = self
            .words
            .iter()
            .take(len.div_ceil(8))
            .flat_map(|word| word.load(Relaxed).to_le_bytes())
            .collect();
        bytes.truncate(len);
        bytes
    }
}
