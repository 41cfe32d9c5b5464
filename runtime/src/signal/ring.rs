#![expect(unsafe_code, reason = "records are written in place by whoever claimed their slot")]
//! From the handler to the reader.
//!
//! Any number of writers, each perhaps a signal handler that interrupted another writer's thread; one reader at a
//! time, who holds the sampler's lock. A writer claims a slot with one exchange and writes the record in place, and
//! never waits: where there is no free slot, the sample's time is added to what is lost. The reader stops at a
//! slot that is claimed and not yet written, and comes back later.
//!
//! A slot's sequence is kept less its index, so that a ring of zeros is an empty one and costs no memory until used.
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::label;
use crate::site::FunctionSite;
use crate::stack::Frames;
use crate::sys::thread::NAME_BYTES;

/// The kernel's ticks bring 250 samples a second for each busy processor, and a look comes every 50 ms where that is
/// much: 1 280 outlast a reader that is kept from running for a second on four of them. 1.9 MB when all of it was used.
pub(super) const SLOTS: usize = 1280;

/// What a handler notes of one sample.
pub(super) struct Record {
    /// Nanoseconds that it stands for.
    pub(super) time: u64,
    /// The processor's counter when it was taken.
    pub(super) at: u64,
    /// What the signal was, as the handler numbers them.
    pub(super) word: usize,
    pub(super) tid: i32,
    /// The thread's name, ended by 0; all 0 if nobody asked for it.
    pub(super) name: [u8; NAME_BYTES],
    /// The innermost scope, or null.
    pub(super) scope: *const FunctionSite,
    /// That of the outermost future that is polled, or null.
    pub(super) task: *const FunctionSite,
    /// If somebody asks for it, how many of the frames are that future's, and the number of the future that awaits it.
    pub(super) own: u32,
    pub(super) parent: u64,
    pub(super) label_bytes: usize,
    pub(super) labels: [u8; label::MAX_BYTES],
    pub(super) frames: Frames,
}

impl Record {
    pub(super) const fn new() -> Record {
        Record {
            time: 0,
            at: 0,
            word: 0,
            tid: 0,
            name: [0; NAME_BYTES],
            scope: core::ptr::null(),
            task: core::ptr::null(),
            own: 0,
            parent: 0,
            label_bytes: 0,
            labels: [0; label::MAX_BYTES],
            frames: Frames::new(),
        }
    }
}

struct Slot {
    sequence: AtomicUsize,
    record: UnsafeCell<Record>,
}

/// The ring.
pub(super) struct Ring {
    next_write: AtomicUsize,
    next_read: AtomicUsize,
    lost: AtomicU64,
    slots: [Slot; SLOTS],
}

// SAFETY: a record is touched by the writer that moved `next_write` over its slot until it publishes the sequence,
// and after that by the one reader until it gives the slot back.
unsafe impl Sync for Ring {}

impl Ring {
    pub(super) const fn new() -> Ring {
        const EMPTY: Record = Record::new();
        Ring {
            next_write: AtomicUsize::new(0),
            next_read: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            slots: [const { Slot { sequence: AtomicUsize::new(0), record: UnsafeCell::new(EMPTY) } }; SLOTS],
        }
    }

    /// Has `write` fill a record, or counts `time` as lost. Never waits; fit for a signal handler.
    #[inline(always)]
    pub(super) fn push(&self, time: u64, write: impl FnOnce(&mut Record)) {
        let mut at = self.next_write.load(Ordering::Relaxed);
        loop {
            let index = at % SLOTS;
            let Some(slot) = self.slots.get(index) else { return };
            let sequence = slot.sequence.load(Ordering::Acquire).wrapping_add(index);
            if sequence == at {
                let next = at.wrapping_add(1);
                match self.next_write.compare_exchange_weak(at, next, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => {
                        // SAFETY: the exchange made the slot ours.
                        write(unsafe { &mut *slot.record.get() });
                        slot.sequence.store(next.wrapping_sub(index), Ordering::Release);
                        return;
                    }
                    Err(now) => at = now,
                }
            } else if (sequence.wrapping_sub(at) as isize) < 0 {
                // A lap behind: the reader has not been here yet.
                self.lost.fetch_add(time, Ordering::Relaxed);
                return;
            } else {
                at = self.next_write.load(Ordering::Relaxed);
            }
        }
    }

    /// Hands every record that is complete to `read`, oldest first, and gives what was lost since the last look.
    /// One caller at a time.
    pub(super) fn drain(&self, mut read: impl FnMut(&Record)) -> u64 {
        loop {
            let at = self.next_read.load(Ordering::Relaxed);
            let index = at % SLOTS;
            let slot = &self.slots[index];
            let sequence = slot.sequence.load(Ordering::Acquire).wrapping_add(index);
            if sequence != at.wrapping_add(1) {
                return self.lost.swap(0, Ordering::Relaxed);
            }
            // SAFETY: the sequence says that the writer is done, and no other takes the slot until the store below.
            read(unsafe { &*slot.record.get() });
            slot.sequence.store(at.wrapping_add(SLOTS).wrapping_sub(index), Ordering::Release);
            self.next_read.store(at.wrapping_add(1), Ordering::Relaxed);
        }
    }
}

impl Ring {
    /// Empties it. Only for a process of one thread, as a forked child is: a writer of the parent's may have been at
    /// it, and would never come back.
    pub(super) fn reset(&self) {
        self.next_write.store(0, Ordering::Relaxed);
        self.next_read.store(0, Ordering::Relaxed);
        self.lost.store(0, Ordering::Relaxed);
        self.slots.iter().for_each(|slot| slot.sequence.store(0, Ordering::Release));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn what_is_pushed_is_read_in_order_or_counted_as_lost() {
        static RING: Ring = Ring::new();
        for lap in 0..3 {
            for n in 0..SLOTS as u64 + 10 {
                RING.push(n, |record| record.time = n);
            }
            let mut next = 0;
            let lost = RING.drain(|record| {
                assert_eq!(record.time, next);
                next += 1;
            });
            assert_eq!(next, SLOTS as u64, "lap {lap}");
            assert_eq!(lost, (0..10).map(|n| SLOTS as u64 + n).sum::<u64>());
        }
    }

    #[test]
    fn a_slot_whose_writer_is_gone_is_cleared() {
        static RING: Ring = Ring::new();
        for lap in 0..3 {
            // As a fork leaves it: claimed by a thread that is not there any more.
            RING.next_write.fetch_add(1, Ordering::Relaxed);
            RING.push(1, |record| record.time = 1);
            assert_eq!(RING.drain(|_| panic!("nothing is complete before the first")), 0);
            RING.reset();
            for _ in 0..SLOTS {
                RING.push(1, |record| record.time = 1);
            }
            let mut read = 0;
            assert_eq!(RING.drain(|record| read += record.time), 0, "lap {lap}");
            assert_eq!(read, SLOTS as u64);
        }
    }

    #[test]
    fn no_weight_vanishes_between_writers_and_a_reader() {
        static RING: Ring = Ring::new();
        static DONE: AtomicBool = AtomicBool::new(false);
        let (read, lost) = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..50_000 {
                            RING.push(1, |record| {
                                record.time = 1;
                                record.frames.len = 2;
                                record.frames.addresses[..2].copy_from_slice(&[7, 8]);
                            });
                        }
                    })
                })
                .collect();
            let reader = scope.spawn(|| {
                let (mut read, mut lost) = (0, 0);
                loop {
                    let done = DONE.load(Ordering::Acquire);
                    lost += RING.drain(|record| {
                        assert_eq!(record.frames.addresses(), [7, 8]);
                        read += record.time;
                    });
                    if done {
                        return (read, lost);
                    }
                }
            });
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            DONE.store(true, Ordering::Release);
            reader.join().unwrap()
        });
        assert_eq!(read + lost, 150_000);
    }
}
