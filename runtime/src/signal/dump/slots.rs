#![expect(unsafe_code, reason = "records are written in place by whoever claimed their slot")]
//! Where threads that are asked put what they have to say: each into the slot that it was given.
//!
//! A slot's word holds the dump that it was given out for and how far it is. A thread that answers late finds that the
//! dump is over, and leaves the slot alone; who is at writing when the dump is given up keeps its slot for good.
use core::cell::UnsafeCell;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering};

use super::super::ring::Record;

/// As many threads are asked at a time: 3.2 MB once all were needed.
pub(super) const SLOTS: usize = 2048;

/// How far a slot is, in the two lowest bits of its word.
const GIVEN: u32 = 1;
const WRITING: u32 = 2;
const WRITTEN: u32 = 3;
const PHASE: u32 = 3;

pub(super) struct Slot {
    /// The number of the dump, and the phase.
    word: AtomicU32,
    record: UnsafeCell<Record>,
}

// SAFETY: a record is touched by the one that moved the word from given to writing, until it says written; from then on by
// the one who gave it, until it is given again.
unsafe impl Sync for Slot {}

static TABLE: [Slot; SLOTS] =
    [const { Slot { word: AtomicU32::new(0), record: UnsafeCell::new(Record::new()) } }; SLOTS];

/// What was asked for by a slot is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It may still come.
    Yet,
    /// It is at it.
    Nearly,
}

/// The slot of this number.
#[inline(always)]
pub(super) fn at(index: usize) -> Option<&'static Slot> {
    TABLE.get(index)
}

/// All of them, with their numbers.
pub(super) fn all() -> impl Iterator<Item = (usize, &'static Slot)> {
    TABLE.iter().enumerate()
}

/// Gives out the next one of these for this dump, with its number.
pub(super) fn give(range: &mut Range<usize>, dump: u32) -> Option<(usize, &'static Slot)> {
    range.find_map(|number| Some((number, TABLE.get(number)?)).filter(|(_, slot)| slot.give(dump)))
}

/// The word of a slot in this dump and phase. Dumps are numbered below 2^30.
fn word(dump: u32, phase: u32) -> u32 {
    dump << 2 | phase
}

impl Slot {
    /// Gives it out for this dump. `false`: somebody is still writing for another one.
    pub(super) fn give(&self, dump: u32) -> bool {
        let now = self.word.load(Ordering::Acquire);
        now & PHASE != WRITING
            && self
                .word
                .compare_exchange(now, word(dump, GIVEN), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Has `write` fill the record, if this dump is still on. For signal handlers.
    #[inline(always)]
    pub(super) fn answer(&self, dump: u32, write: impl FnOnce(&mut Record)) {
        let (given, writing) = (dump << 2 | GIVEN, dump << 2 | WRITING);
        if self.word.compare_exchange(given, writing, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            // SAFETY: the exchange made the record ours.
            write(unsafe { &mut *self.record.get() });
            self.word.store(dump << 2 | WRITTEN, Ordering::Release);
        }
    }

    /// Whether it was answered for this dump. By who gave it out.
    pub(super) fn is_answered(&self, dump: u32) -> Result<(), Missing> {
        match self.word.load(Ordering::Acquire) {
            now if now == word(dump, WRITTEN) => Ok(()),
            now if now == word(dump, WRITING) => Err(Missing::Nearly),
            _ => Err(Missing::Yet),
        }
    }

    /// Reads it if it was answered, and otherwise takes it back. By who gave it out.
    pub(super) fn take<R>(&self, dump: u32, read: impl FnOnce(&Record) -> R) -> Option<R> {
        let given = word(dump, GIVEN);
        if self.word.compare_exchange(given, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return None;
        }
        self.is_answered(dump).ok()?;
        // SAFETY: who wrote it has said so, and nobody else gets it before it is given again, which is after this.
        let result = read(unsafe { &*self.record.get() });
        self.word.store(0, Ordering::Relaxed);
        Some(result)
    }

    /// Forgets whatever was asked. Only for a process of one thread, as a forked child is.
    pub(super) fn reset(&self) {
        if self.word.load(Ordering::Relaxed) != 0 {
            self.word.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> Slot {
        Slot { word: AtomicU32::new(0), record: UnsafeCell::new(Record::new()) }
    }

    #[test]
    fn only_the_dump_that_is_on_is_answered() {
        let slot = slot();
        assert!(slot.give(7));
        slot.answer(6, |_| panic!("another dump"));
        assert_eq!(slot.is_answered(7), Err(Missing::Yet));
        slot.answer(7, |record| record.tid = 5);
        slot.answer(7, |_| panic!("twice"));
        assert_eq!(slot.take(7, |record| record.tid), Some(5));
        // Nobody answered, and who comes late finds nothing to do.
        assert!(slot.give(8));
        assert_eq!(slot.take(8, |record| record.tid), None);
        slot.answer(8, |_| panic!("late"));
    }

    #[test]
    fn who_is_at_writing_keeps_its_slot() {
        let slot = slot();
        assert!(slot.give(1));
        slot.answer(1, |_| {
            assert_eq!(slot.is_answered(1), Err(Missing::Nearly));
            assert_eq!(slot.take(1, |_| ()), None);
            assert!(!slot.give(2));
        });
        assert!(slot.give(2), "it is done, and what it wrote is of no use to anybody");
        slot.reset();
        slot.answer(2, |_| panic!("the child does not have its threads"));
    }
}
