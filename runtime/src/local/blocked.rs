#![expect(
    unsafe_code,
    reason = "reads a word of a lock for as long as somebody who waits for the lock is kept there"
)]
//! What a thread waits for right now: words that it writes before it waits and others read.
//!
//! Whoever waits borrows what it waits for, and does not return before its words are idle again. A reader *pins* the
//! words of a wait for the few loads that it needs: so the lock is there while somebody looks at it, and what was read
//! belongs to one wait. Who would return meanwhile is held up for as long.
use std::ptr;
use std::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed,
    Ordering::Release,
};

use super::held::Access;
use crate::store::{Stack, StackCell};

/// The state's lowest bits. Above them is the round: each wait of a thread has its own.
const WAITING: u64 = 1;
const PINNED: u64 = 2;
/// How it waits, from here on: see `Manner`.
const MANNER: u32 = 2;
const ROUND: u64 = 64;

/// How a thread waits for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    /// What it is to have then.
    pub(crate) wants: Access,
    /// It gives up by itself.
    pub(crate) in_time: bool,
    /// It has the lock already, [upgradable](Access::Upgradable).
    pub(crate) raises: bool,
}

impl Manner {
    pub(crate) const fn of(wants: Access) -> Manner {
        Manner { wants, in_time: false, raises: false }
    }

    fn bits(self) -> u64 {
        let bits = u64::from(self.in_time) | u64::from(self.raises) << 1 | (self.wants as u64) << 2;
        bits << MANNER
    }

    fn of_state(state: u64) -> Manner {
        let bits = state >> MANNER;
        Manner { wants: Access::of((bits >> 2 & 3) as u32), in_time: bits & 1 != 0, raises: bits & 2 != 0 }
    }
}

/// What a lock says of itself to those who look at its waiters.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Identity {
    /// A number that no other lock has, once it was needed; 0 before.
    pub(crate) number: AtomicU32,
    /// The number of the thread that holds it alone, from after it has it until before it releases it; otherwise 0.
    pub(crate) owner: AtomicU32,
}

impl Identity {
    pub(crate) const fn new() -> Identity {
        Identity { owner: AtomicU32::new(0), number: AtomicU32::new(0) }
    }
}

/// The words of one thread. Only the thread writes, but for the pin.
pub(crate) struct Blocked {
    state: AtomicU64,
    /// Of the lock that is waited for; null if it is none.
    lock: AtomicPtr<Identity>,
    site: AtomicU32,
    /// Ticks.
    since: AtomicU64,
    stack: StackCell,
}

/// What a thread waits for, for those who look.
#[derive(Clone, Copy)]
pub(crate) struct Wait<'a> {
    /// The lock; `None` if it waits for something that nobody holds.
    pub(crate) lock: Option<&'a Identity>,
    /// The lock's site, or 0.
    pub(crate) site: u32,
    /// Ticks.
    pub(crate) since: u64,
    pub(crate) stack: Option<Stack>,
    pub(crate) manner: Manner,
}

/// A wait as it was seen. Two that are equal are one wait, and it went on from the one look to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) round: u64,
    /// Where the lock is: it is known by that for as long as it is waited for. 0: nobody holds what is waited for.
    pub(crate) place: usize,
    /// The lock's number, or 0.
    pub(crate) lock: u32,
    /// The number of who holds it; 0 if that is not known.
    pub(crate) owner: u32,
    pub(crate) site: u32,
    pub(crate) since: u64,
    pub(crate) stack: Option<Stack>,
    pub(crate) manner: Manner,
}

impl Blocked {
    pub(super) const fn new() -> Blocked {
        Blocked {
            state: AtomicU64::new(0),
            lock: AtomicPtr::new(ptr::null_mut()),
            site: AtomicU32::new(0),
            since: AtomicU64::new(0),
            stack: StackCell::new(),
        }
    }

    /// The thread is about to wait. Gives what it was waiting for already, if this is within another wait (a condition
    /// that is looked at, a signal handler): for [`end`](Self::end).
    pub(crate) fn begin(&self, wait: Wait<'_>) -> Option<Outer> {
        let outer = (self.state.load(Relaxed) & WAITING != 0).then(|| Outer {
            lock: self.lock.load(Relaxed),
            site: self.site.load(Relaxed),
            since: self.since.load(Relaxed),
            stack: self.stack.get(),
            manner: Manner::of_state(self.state.load(Relaxed)),
        });
        if outer.is_some() {
            self.idle();
        }
        self.fill(Outer {
            lock: wait.lock.map_or(ptr::null_mut(), |lock| ptr::from_ref(lock).cast_mut()),
            site: wait.site,
            since: wait.since,
            stack: wait.stack,
            manner: wait.manner,
        });
        outer
    }

    /// The wait is over; nobody looks at its lock any more once this returns.
    pub(crate) fn end(&self, outer: Option<Outer>) {
        self.idle();
        if let Some(outer) = outer {
            self.fill(outer);
        }
    }

    fn fill(&self, wait: Outer) {
        self.lock.store(wait.lock, Relaxed);
        self.site.store(wait.site, Relaxed);
        self.since.store(wait.since, Relaxed);
        self.stack.set(wait.stack);
        let round = (self.state.load(Relaxed) & !(ROUND - 1)).wrapping_add(ROUND);
        self.state.store(round | wait.manner.bits() | WAITING, Release);
    }

    fn idle(&self) {
        for look in 0_u32.. {
            let state = self.state.load(Relaxed) & !PINNED;
            let idle = state & !(ROUND - 1);
            if self.state.compare_exchange(state, idle, AcqRel, Relaxed).is_ok() {
                return;
            }
            // Whoever looks may be off the processor, and of less priority than this thread.
            match look {
                0..100 => std::hint::spin_loop(),
                100..200 => std::thread::yield_now(),
                _ => std::thread::sleep(std::time::Duration::from_micros(100)),
            }
        }
    }

    /// What the thread waits for now, and who holds it now. One at a time may look: under a lock.
    pub(super) fn look(&self) -> Option<Seen> {
        let state = self.state.load(Acquire);
        let waits = state & WAITING != 0 && state & PINNED == 0;
        if !waits || self.state.compare_exchange(state, state | PINNED, AcqRel, Relaxed).is_err() {
            return None;
        }
        let place = self.lock.load(Relaxed);
        // SAFETY: null, or a part of the lock that the thread waits for. The thread borrows the lock until its wait has
        // ended, and that does not end while it is pinned.
        let lock = unsafe { place.as_ref() };
        let seen = Seen {
            round: state / ROUND,
            place: place.addr(),
            lock: lock.map_or(0, |lock| lock.number.load(Relaxed)),
            owner: lock.map_or(0, |lock| lock.owner.load(Relaxed)),
            site: self.site.load(Relaxed),
            since: self.since.load(Relaxed),
            stack: self.stack.get(),
            manner: Manner::of_state(state),
        };
        self.state.fetch_and(!PINNED, Release);
        Some(seen)
    }

    /// Of a thread that is gone.
    pub(super) fn forget(&self) {
        let round = self.state.load(Relaxed) & !(ROUND - 1);
        self.state.store(round.wrapping_add(ROUND), Relaxed);
    }
}

/// A wait within which another one takes place.
pub(crate) struct Outer {
    lock: *mut Identity,
    site: u32,
    since: u64,
    stack: Option<Stack>,
    manner: Manner,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(lock: Option<&Identity>, site: u32) -> Wait<'_> {
        let manner = Manner { wants: Access::of(site % 3), in_time: site == 9, raises: site == 3 };
        Wait { lock, site, since: 5, stack: None, manner }
    }

    fn held_by(owner: u32) -> Identity {
        Identity { owner: AtomicU32::new(owner), number: AtomicU32::new(70) }
    }

    #[test]
    fn a_wait_is_seen_with_its_holder_until_it_ends() {
        let (blocked, lock) = (Blocked::new(), held_by(7));
        assert_eq!(blocked.look(), None);
        assert!(blocked.begin(wait(Some(&lock), 3)).is_none());
        let first = blocked.look().unwrap();
        assert_eq!((first.owner, first.lock, first.site, first.since), (7, 70, 3, 5));
        assert_eq!(first.manner, wait(None, 3).manner);
        assert_eq!(blocked.look(), Some(first), "the same wait");
        lock.owner.store(0, Relaxed);
        assert_eq!(blocked.look().unwrap().owner, 0);
        blocked.end(None);
        assert_eq!(blocked.look(), None);
        _ = blocked.begin(wait(Some(&lock), 3));
        assert_ne!(blocked.look().unwrap().round, first.round, "another wait for the same lock");
    }

    #[test]
    fn a_wait_within_a_wait_gives_way_to_the_outer_one() {
        let (blocked, lock) = (Blocked::new(), held_by(7));
        _ = blocked.begin(wait(None, 9));
        let outer = blocked.begin(wait(Some(&lock), 3));
        assert_eq!(blocked.look().unwrap().site, 3);
        blocked.end(outer);
        let seen = blocked.look().unwrap();
        assert_eq!((seen.site, seen.place, seen.manner), (9, 0, wait(None, 9).manner));
        blocked.end(None);
        assert_eq!(blocked.look(), None);
    }

    /// Each lock is gone once its wait has ended: who looks must see one of those that are there.
    #[test]
    fn nobody_looks_at_a_lock_that_is_gone() {
        let blocked = Blocked::new();
        let (done, seen) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while done.load(Relaxed) == 0 {
                    if let Some(look) = blocked.look() {
                        assert_eq!(look.owner, look.site, "{look:?}");
                        seen.fetch_add(1, Relaxed);
                    }
                }
            });
            let mut n = 0;
            // On one processor the two take turns by the tick.
            while seen.load(Relaxed) < 100_000 {
                n += 1;
                let lock = Box::new(held_by(n));
                _ = blocked.begin(wait(Some(&lock), n));
                if n.is_multiple_of(64) {
                    std::thread::yield_now();
                }
                blocked.end(None);
                lock.owner.store(u32::MAX, Relaxed);
            }
            done.store(1, Relaxed);
        });
    }
}
