//! Who started each thread: a record by the thread's id, written by the thread itself when it begins.
//!
//! Nobody tells of a thread's end. A record is good for as long as its thread is there, and a thread that got the id of one
//! that is gone is told by the kernel's time of its start, which is after the record was made. Records of the dead are
//! taken when their room is wanted; those that a forked child has of its parent's threads are dead to it.
//!
//! Writers never wait and allocate nothing. Readers look twice.
use std::sync::atomic::{
    AtomicI32, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, fence,
};

use super::Creator;
use crate::store::arena::Noted;
use crate::sys;

/// Records of a line.
const SLOTS: usize = 8;
/// Threads at a time that are known: 64 Ki, in 1.5 MB, of which as much is touched as there are threads.
const LINES: usize = 8192;
/// Lines in which the record of a thread may stand. Ids are given out in order, so that lines fill evenly.
const REACH: usize = 4;
/// The id of a record that somebody is at.
const TAKEN: i32 = -1;

struct Line {
    tids: [AtomicI32; SLOTS],
    /// When the record was made.
    noted: [AtomicU64; SLOTS],
    by: [Noted<Creator>; SLOTS],
}

static TABLE: [Line; LINES] = [const {
    Line {
        tids: [const { AtomicI32::new(0) }; SLOTS],
        noted: [const { AtomicU64::new(0) }; SLOTS],
        by: [const { Noted::new() }; SLOTS],
    }
}; LINES];

static NO_ROOM: AtomicUsize = AtomicUsize::new(0);

/// A place in a line.
struct Slot {
    line: &'static Line,
    at: usize,
}

impl Slot {
    fn tid(&self) -> &'static AtomicI32 {
        &self.line.tids[self.at]
    }

    fn take_from(&self, tid: i32) -> bool {
        self.tid().load(Relaxed) == tid && self.tid().compare_exchange(tid, TAKEN, Acquire, Relaxed).is_ok()
    }

    /// Writes the record of a slot that was taken.
    fn write(&self, tid: i32, by: &'static Creator) {
        // Whoever finds what follows finds that the slot was taken.
        fence(Release);
        self.line.noted[self.at].store(sys::thread::moment(), Relaxed);
        self.line.by[self.at].set(Some(by));
        self.tid().store(tid, Release);
    }

    fn read(&self) -> Option<Known> {
        let tid = self.tid().load(Acquire);
        let noted = self.line.noted[self.at].load(Acquire);
        let by = self.line.by[self.at].get();
        fence(Acquire);
        let same = self.tid().load(Relaxed) == tid && self.line.noted[self.at].load(Relaxed) == noted;
        (tid > 0 && same).then_some(Known { tid, noted, by: by? })
    }
}

/// A record.
pub(super) struct Known {
    pub(super) tid: i32,
    /// By the clock of [`sys::thread::moment`].
    pub(super) noted: u64,
    pub(super) by: &'static Creator,
}

fn slots(tid: i32) -> impl Iterator<Item = Slot> {
    let first = tid.unsigned_abs() as usize;
    let lines = (first..first + REACH).map(|line| &TABLE[line % LINES]);
    lines.flat_map(|line| (0..SLOTS).map(move |at| Slot { line, at }))
}

/// Notes who started the thread `tid`, which calls this, or is not known to anybody else. Counted if there is no room.
pub(super) fn note(tid: i32, by: &'static Creator) {
    // What is there of this id is of a thread that is gone.
    let slot = slots(tid)
        .find(|slot| slot.take_from(tid))
        .or_else(|| slots(tid).find(|slot| slot.take_from(0)))
        .or_else(|| {
            slots(tid).find(|slot| {
                let dead = slot.tid().load(Relaxed);
                // Its id may be another thread's in this very moment, which is then not known.
                dead > 0 && !sys::thread::is_there(dead) && slot.take_from(dead)
            })
        });
    match slot {
        Some(slot) => slot.write(tid, by),
        None => _ = NO_ROOM.fetch_add(1, Relaxed),
    }
}

/// The thread is gone.
pub(super) fn forget(tid: i32) {
    if let Some(slot) = slots(tid).find(|slot| slot.take_from(tid)) {
        slot.tid().store(0, Release);
    }
}

/// What was noted last of this id.
pub(super) fn find(tid: i32) -> Option<Known> {
    slots(tid).filter_map(|slot| slot.read()).find(|known| known.tid == tid)
}

/// Every record, those of threads that are gone among them.
pub(super) fn all() -> impl Iterator<Item = Known> {
    TABLE.iter().flat_map(|line| (0..SLOTS).filter_map(move |at| Slot { line, at }.read()))
}

/// Threads that were not noted for want of room.
pub(super) fn no_room() -> usize {
    NO_ROOM.load(Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::bucket::{Buckets, Key};
    use crate::store::{Labels, Stack};

    static CREATORS: Buckets<()> = Buckets::new();

    fn creator(what: u64) -> &'static Creator {
        let key = Key { stack: Stack::other(), labels: Labels::none(), scope: None, what, rate: 0 };
        CREATORS.get(key).unwrap()
    }

    /// Ids far beyond what the kernel gives out, so that they are nobody's, and the same lines.
    #[test]
    #[cfg(not(profiled_portable))]
    fn records_of_the_dead_make_room() {
        let tid = |n: usize| 0x3000_0000 + (n * LINES) as i32;
        let known = |n: usize| find(tid(n)).map(|known| known.by.key().what);
        for n in 0..REACH * SLOTS {
            note(tid(n), creator(n as u64));
        }
        assert!((0..REACH * SLOTS).all(|n| known(n) == Some(n as u64)));
        note(tid(3), creator(300));
        assert_eq!(known(3), Some(300), "a thread that got the id of another");
        let before = no_room();
        note(tid(99), creator(99));
        assert_eq!((known(99), known(0), no_room()), (Some(99), None, before));
        assert_eq!((0..100).filter(|&n| known(n).is_some()).count(), REACH * SLOTS);
        assert!(all().count() >= REACH * SLOTS);
        (0..100).for_each(|n| forget_one(tid(n)));
    }

    /// As many as there is room for of threads that live, which are this one for once.
    #[test]
    fn what_finds_no_room_is_counted() {
        let first = 0x3100_0000 / LINES as i32 * LINES as i32 + 77;
        let own = sys::process::thread_id();
        for slot in slots(first) {
            assert!(slot.take_from(0));
            slot.write(own, creator(1));
        }
        let before = no_room();
        note(first, creator(2));
        assert_eq!((no_room(), find(first).is_none()), (before + 1, true));
        for slot in slots(first) {
            slot.tid().store(0, Relaxed);
        }
    }

    #[cfg(not(profiled_portable))]
    fn forget_one(tid: i32) {
        for slot in slots(tid) {
            if slot.take_from(tid) {
                slot.tid().store(0, Relaxed);
            }
        }
    }
}
