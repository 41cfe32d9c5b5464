//! The locks that a thread holds, where their order is checked: a list of fixed length in its block.
//!
//! Only the thread puts locks in. It takes them out, too, but for those that are released elsewhere: whoever does that
//! takes them out of here before it releases them. So an entry is a word that anybody may make 0, and nothing moves.
use std::sync::atomic::{
    AtomicU32, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

use crate::store::{Stack, StackCell};

/// Locks that a thread holds at once. What is beyond them is not known, and counted.
pub(crate) const MAX_HELD: usize = 32;

/// How a lock is held, or is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Alone,
    /// With others who read, and nobody else who may have more.
    Upgradable,
    Shared,
}

impl Access {
    /// Of its number.
    pub(super) const fn of(number: u32) -> Access {
        match number {
            0 => Access::Alone,
            1 => Access::Upgradable,
            _ => Access::Shared,
        }
    }

    /// Whether who holds it so keeps others from this.
    pub(crate) fn excludes(self, wanted: Access) -> bool {
        match (self, wanted) {
            (Access::Alone, _) | (_, Access::Alone) => true,
            (mine, theirs) => mine == Access::Upgradable && theirs == mine,
        }
    }
}

struct Entry {
    /// The lock's number; 0 if there is none here.
    lock: AtomicU32,
    site: AtomicU32,
    /// The number of an `Access`.
    access: AtomicU32,
    stack: StackCell,
}

/// The locks of one thread.
pub(crate) struct Held {
    /// Since when they are noted: what was before is forgotten.
    era: AtomicU32,
    /// No entry from here on.
    top: AtomicU32,
    entries: [Entry; MAX_HELD],
}

/// A lock that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) lock: u32,
    pub(crate) site: u32,
    pub(crate) access: Access,
    /// Where it was taken.
    pub(crate) stack: Option<Stack>,
}

impl Held {
    pub(super) const fn new() -> Held {
        Held {
            era: AtomicU32::new(0),
            top: AtomicU32::new(0),
            entries: [const {
                Entry {
                    lock: AtomicU32::new(0),
                    site: AtomicU32::new(0),
                    access: AtomicU32::new(0),
                    stack: StackCell::new(),
                }
            }; MAX_HELD],
        }
    }

    fn used(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().take(self.top.load(Acquire) as usize)
    }

    /// The locks that the thread holds, of those noted in this era, in no order.
    pub(crate) fn locks(&self, era: u32) -> impl Iterator<Item = Hold> {
        let is_of_now = self.era.load(Acquire) == era;
        self.used().filter(move |_| is_of_now).filter_map(|entry| {
            let lock = entry.lock.load(Acquire);
            (lock != 0).then(|| Hold {
                lock,
                site: entry.site.load(Relaxed),
                access: Access::of(entry.access.load(Relaxed)),
                stack: entry.stack.get(),
            })
        })
    }

    /// The thread itself has taken a lock. `false`: there is no room.
    pub(crate) fn put(&self, hold: Hold, era: u32) -> bool {
        if self.era.load(Relaxed) != era {
            self.clear();
            self.era.store(era, Release);
        }
        let free = self.entries.iter().zip(1..).find(|(entry, _)| entry.lock.load(Relaxed) == 0);
        let Some((entry, next)) = free else { return false };
        entry.site.store(hold.site, Relaxed);
        entry.access.store(hold.access as u32, Relaxed);
        entry.stack.set(hold.stack);
        entry.lock.store(hold.lock, Release);
        self.top.fetch_max(next, AcqRel);
        true
    }

    /// The lock is about to be released, by whatever thread. Whether it was here.
    pub(crate) fn take(&self, lock: u32) -> bool {
        let take = |entry: &Entry| entry.lock.compare_exchange(lock, 0, AcqRel, Relaxed).is_ok();
        self.entries.iter().take(self.top.load(Acquire) as usize).rev().any(take)
    }

    /// As if nothing were held.
    pub(super) fn clear(&self) {
        self.used().for_each(|entry| entry.lock.store(0, Relaxed));
        self.top.store(0, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(lock: u32) -> Hold {
        Hold { lock, site: lock + 100, access: Access::of(lock % 3), stack: None }
    }

    fn locks(held: &Held) -> Vec<u32> {
        held.locks(1).map(|hold| hold.lock).collect()
    }

    #[test]
    fn locks_come_and_go_in_any_order() {
        let held = Held::new();
        assert!((1..=4).all(|lock| held.put(hold(lock), 1)));
        assert!(held.take(2) && !held.take(2) && !held.take(9));
        assert_eq!(locks(&held), [1, 3, 4]);
        assert!(held.put(hold(5), 1));
        assert_eq!(locks(&held), [1, 5, 3, 4], "where there is room");
        assert_eq!(held.locks(1).nth(2), Some(hold(3)));
        assert_eq!(held.locks(2).count(), 0, "of another era");
        assert!(held.put(hold(6), 2));
        assert_eq!(held.locks(2).collect::<Vec<_>>(), [hold(6)]);
    }

    #[test]
    fn there_is_room_for_so_many() {
        let held = Held::new();
        assert!((1..=MAX_HELD as u32).all(|lock| held.put(hold(lock), 1)));
        assert!(!held.put(hold(99), 1));
        assert!(held.take(7) && held.put(hold(99), 1));
        assert_eq!(held.locks(1).count(), MAX_HELD);
    }
}
