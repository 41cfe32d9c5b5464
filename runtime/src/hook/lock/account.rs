//! Who owes what: the words of one lock that charge each moment waited to exactly one holder.
//!
//! A small state machine that knows nothing of locks, clocks or stacks. Time comes in as numbers, *moments*; whoever
//! calls says what a moment is. One word holds how many wait and the sum of the moments from which each of them is still
//! to be charged, so that `waiters * now - sum`, the *debt*, is what was waited and not charged, for all at once:
//!
//! | step | waiters | sum | debt |
//! | --- | --- | --- | --- |
//! | [`arrive`](Account::arrive) at `now` | + 1 | + `now` | stays |
//! | [`charge`](Account::charge) what is due | | + debt | 0: the holder has it |
//! | [`leave`](Account::leave), charged up to `from` | - 1 | - `from` | less `now - from`: the way from a release to here |
//! | [`cancel`](Account::cancel) at `now` | - 1 | - `now` | stays, for whoever holds the lock |
//!
//! So what was charged, what was nobody's, and the debt always come to what was waited. A second word, `last`, tells a
//! leaver up to when it was charged: whoever is in a charge finds that charge's moment there. It may also find a charge that
//! it came too late for; what it then leaves behind goes to the next charge, or to the last who leaves, which
//! takes all of the debt: nothing is left over when nobody waits.
//!
//! Any thread may take any step at any time, and none ever waits. Those of an exclusive lock are ordered by the lock
//! itself but for arrivals and cancellations; with readers that share one, everything meets.
use std::sync::atomic::{
    AtomicU32, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

/// From the lowest bit: the marks of [`Account::watch`], of [`Account::put`] and of [`Account::note`], the waiters, the sum.
const WATCHED: u64 = 1;
const POINTED: u64 = 2;
const NOTED: u64 = 4;
const WAITER: u64 = 8;
const COUNT_BITS: u32 = 18;
const SUM_SHIFT: u32 = COUNT_BITS + 3;
/// As many wait at once at the most, with room for arrivals that have not looked yet. Others go unaccounted.
const MAX_WAITERS: u64 = (1 << COUNT_BITS) - (1 << 12);

/// A generation that is being made: see [`Account::current`].
const CHANGING: u32 = u32::MAX;

/// The words of one lock. What releases look at is last, next to what holders write.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Account {
    /// The moment of the last charge.
    last: AtomicU64,
    /// What the last charge was told to pass on to those it served.
    server: AtomicU64,
    /// See [`put`](Self::put): 0, a point in time as an odd number, or the answer of who held the lock then.
    point: AtomicU64,
    /// The process that the words belong to: its waiters are not in a forked child.
    generation: AtomicU32,
    word: AtomicU64,
}

/// One who waits.
#[derive(Clone, Copy, Debug)]
#[must_use = "who came has to leave"]
pub(crate) struct Ticket {
    start: u64,
    generation: u32,
    counted: bool,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// Moments of it that were nobody's. Where readers share a lock, one of them may be charged for a moment too
    /// much while another one has it already: then this is negative, and sums come out.
    pub(crate) gap: i64,
    /// What the holder said who made way; `None` if nobody was charged for this wait.
    pub(crate) server: Option<u64>,
}

/// A sum's or a difference's value, of as many bits as a sum has.
fn signed(moments: u64) -> i64 {
    (moments << SUM_SHIFT) as i64 >> SUM_SHIFT
}

fn waiters(word: u64) -> u64 {
    (word / WAITER) & ((1 << COUNT_BITS) - 1)
}

fn debt(word: u64, now: u64) -> i64 {
    signed(waiters(word).wrapping_mul(now).wrapping_sub(word >> SUM_SHIFT))
}

/// The word without a waiter that is charged up to `from`.
fn without(word: u64, from: u64) -> u64 {
    word.wrapping_sub((from << SUM_SHIFT).wrapping_add(WAITER))
}

impl Account {
    pub(crate) const fn new() -> Account {
        Account {
            word: AtomicU64::new(0),
            last: AtomicU64::new(0),
            server: AtomicU64::new(0),
            point: AtomicU64::new(0),
            generation: AtomicU32::new(0),
        }
    }

    /// Nobody waits, nothing is due, and nobody watches: one relaxed load, for the way of those who meet nobody.
    #[inline(always)]
    pub(crate) fn is_idle(&self) -> bool {
        self.word.load(Relaxed) == 0
    }

    /// Whether the words are of this generation, after clearing them if they are of an older one. While another thread
    /// is at that, they are nobody's.
    fn current(&self, generation: u32) -> bool {
        let of = self.generation.load(Acquire);
        if of == generation {
            return true;
        }
        if of == CHANGING || self.generation.compare_exchange(of, CHANGING, AcqRel, Relaxed).is_err() {
            return false;
        }
        self.word.store(0, Relaxed);
        self.last.store(0, Relaxed);
        self.server.store(0, Relaxed);
        self.point.store(0, Relaxed);
        self.generation.store(generation, Release);
        true
    }

    /// Somebody begins to wait.
    pub(crate) fn arrive(&self, now: u64, generation: u32) -> Ticket {
        let counted = self.current(generation) && waiters(self.word.load(Relaxed)) < MAX_WAITERS;
        if counted {
            self.word.fetch_add((now << SUM_SHIFT).wrapping_add(WAITER), AcqRel);
        }
        Ticket { start: now, generation, counted }
    }

    /// Somebody who waited has the lock.
    pub(crate) fn leave(&self, ticket: Ticket, now: u64, generation: u32) -> Left {
        if !ticket.counted || ticket.generation != generation || !self.current(generation) {
            return Left { gap: 0, server: None };
        }
        let mut word = self.word.load(Acquire);
        loop {
            let (from, charged) = self.charged_up_to(word, ticket);
            match self.word.compare_exchange(word, without(word, from), AcqRel, Acquire) {
                Ok(_) => {
                    let gap = signed(now.wrapping_sub(from));
                    return Left { gap, server: charged.then(|| self.server.load(Acquire)) };
                }
                Err(found) => word = found,
            }
        }
    }

    /// Up to when a waiter was charged, if it leaves with this word, and whether it was at all.
    fn charged_up_to(&self, word: u64, ticket: Ticket) -> (u64, bool) {
        // Whoever put us into this word's charge had noted its moment before.
        let last = self.last.load(Acquire);
        let charged = last > ticket.start;
        let from = match waiters(word) {
            1 => word >> SUM_SHIFT,
            _ if charged => last,
            _ => ticket.start,
        };
        (from, charged)
    }

    /// Somebody gives up waiting. What it waited stays due. Gives what of it is nobody's, as [`Left::gap`]: nothing, but
    /// where a charge that is later than `now` had it already.
    pub(crate) fn cancel(&self, ticket: Ticket, now: u64, generation: u32) -> i64 {
        if !ticket.counted || ticket.generation != generation || !self.current(generation) {
            return 0;
        }
        let mut word = self.word.load(Acquire);
        loop {
            // A charge that is later than `now` has more than was waited.
            let from = if debt(word, now) < 0 { self.charged_up_to(word, ticket).0 } else { now };
            match self.word.compare_exchange(word, without(word, from), AcqRel, Acquire) {
                Ok(_) => return signed(now.wrapping_sub(from)),
                Err(found) => word = found,
            }
        }
    }

    /// What is due at `now`. It is charged to the caller, who has the lock and is about to release it.
    pub(crate) fn charge(&self, now: u64, generation: u32) -> Option<u64> {
        if !self.current(generation) {
            return None;
        }
        let mut word = self.word.load(Acquire);
        loop {
            let due = debt(word, now);
            if due <= 0 {
                return None;
            }
            // First this: who finds itself in the charge below finds its moment, too.
            self.last.fetch_max(now, AcqRel);
            let charged = word.wrapping_add((due as u64) << SUM_SHIFT);
            match self.word.compare_exchange(word, charged, AcqRel, Acquire) {
                Ok(_) => return Some(due as u64),
                Err(found) => word = found,
            }
        }
    }

    /// Who leaves from now on, and was charged for, was served by this.
    pub(crate) fn serve(&self, server: u64) {
        self.server.store(server, Release);
    }

    /// Marks the lock, so that its next release is not idle. Only who holds it alone may.
    pub(crate) fn watch(&self) {
        self.word.fetch_or(WATCHED, Relaxed);
    }

    /// Takes the mark off, and says whether it was there. Only who holds the lock alone is told.
    pub(crate) fn unwatch(&self) -> bool {
        // A look first: most releases that are not idle have no mark.
        self.word.load(Relaxed) & WATCHED != 0 && self.word.fetch_and(!WATCHED, Relaxed) & WATCHED != 0
    }

    /// Marks the lock, so that no release by one who holds it alone is idle, until [`forget`](Self::forget). Only who
    /// holds it alone may do either.
    pub(crate) fn note(&self) {
        self.word.fetch_or(NOTED, Relaxed);
    }

    /// Takes that mark off.
    pub(crate) fn forget(&self) {
        if self.word.load(Relaxed) & NOTED != 0 {
            self.word.fetch_and(!NOTED, Relaxed);
        }
    }

    /// Asks who will hold the lock at `time`, of which the highest bit is lost. `false` if somebody asks already; else
    /// [`settle`](Self::settle) must follow.
    pub(crate) fn put(&self, time: u64, generation: u32) -> bool {
        let put = self.current(generation)
            && self.point.load(Relaxed) == 0
            && self.point.compare_exchange(0, time << 1 | 1, AcqRel, Relaxed).is_ok();
        if put {
            self.word.fetch_or(POINTED, AcqRel);
        }
        put
    }

    /// The question that a holder has to answer who releases the lock at `now`.
    pub(crate) fn asked(&self, now: u64) -> Option<u64> {
        if self.word.load(Acquire) & POINTED == 0 {
            return None;
        }
        let question = self.point.load(Acquire);
        (question & 1 != 0 && question >> 1 <= now).then_some(question)
    }

    /// Answers it, by an even number but 0, unless another one has.
    pub(crate) fn answer(&self, question: u64, answer: u64) {
        _ = self.point.compare_exchange(question, answer, AcqRel, Relaxed);
    }

    /// Takes the question back. Gives the answer, if there was one.
    pub(crate) fn settle(&self) -> Option<u64> {
        // In this order: the mark of who asks next stays.
        self.word.fetch_and(!POINTED, AcqRel);
        Some(self.point.swap(0, AcqRel)).filter(|answer| answer & 1 == 0 && *answer != 0)
    }

    /// How many wait now.
    #[cfg(test)]
    pub(crate) fn waiters(&self, generation: u32) -> u64 {
        if self.generation.load(Acquire) == generation { waiters(self.word.load(Relaxed)) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_wait_for_two_holders() {
        let account = Account::new();
        assert!(account.is_idle());
        let (a, b) = (account.arrive(100, 0), account.arrive(130, 0));
        assert_eq!(account.charge(200, 0), Some(100 + 70));
        account.serve(7);
        let c = account.arrive(203, 0);
        assert_eq!(account.leave(a, 205, 0), Left { gap: 5, server: Some(7) });
        assert_eq!(account.charge(300, 0), Some(100 + 97), "one since the last charge, one since it came");
        account.serve(8);
        assert_eq!(account.leave(c, 301, 0), Left { gap: 1, server: Some(8) });
        assert_eq!(account.leave(b, 303, 0), Left { gap: 3, server: Some(8) });
        assert!(account.is_idle());
    }

    #[test]
    fn who_is_never_charged_for_waits_for_nobody() {
        let account = Account::new();
        let ticket = account.arrive(10, 0);
        assert_eq!(account.leave(ticket, 14, 0), Left { gap: 4, server: None });
        assert!(account.is_idle());
        assert_eq!(account.charge(20, 0), None);
    }

    #[test]
    fn who_gives_up_is_charged_for_all_the_same() {
        let account = Account::new();
        let (a, b) = (account.arrive(0, 0), account.arrive(10, 0));
        assert_eq!(account.cancel(b, 25, 0), 0);
        assert_eq!(account.charge(30, 0), Some(30 + 15));
        assert_eq!(account.leave(a, 30, 0).gap, 0);
        let alone = account.arrive(40, 0);
        assert_eq!(account.cancel(alone, 90, 0), 0);
        assert!(!account.is_idle(), "it is still due");
        assert_eq!(account.charge(1000, 0), Some(50));
        assert!(account.is_idle());
    }

    /// A reader lets go, and is charged up to 30, while another one who waited has had the lock since 20.
    #[test]
    fn what_readers_are_charged_too_much_comes_back() {
        let account = Account::new();
        let (a, b) = (account.arrive(0, 0), account.arrive(0, 0));
        assert_eq!(account.charge(30, 0), Some(60));
        assert_eq!(account.leave(a, 20, 0).gap, -10);
        assert_eq!(account.cancel(b, 25, 0), -5);
        assert!(account.is_idle());
    }

    #[test]
    fn a_mark_is_seen_by_the_next_release_and_disturbs_nothing() {
        let account = Account::new();
        account.watch();
        assert!(!account.is_idle());
        let ticket = account.arrive(5, 0);
        assert_eq!(account.charge(9, 0), Some(4));
        assert!(account.unwatch() && !account.unwatch());
        assert_eq!(account.leave(ticket, 9, 0).gap, 0);
        assert!(account.is_idle());
    }

    #[test]
    fn a_note_stays_until_it_is_taken_off() {
        let account = Account::new();
        account.note();
        let ticket = account.arrive(5, 0);
        assert_eq!(account.charge(9, 0), Some(4));
        assert_eq!(account.leave(ticket, 9, 0).gap, 0);
        assert!(!account.is_idle() && !account.unwatch());
        account.forget();
        assert!(account.is_idle());
    }

    #[test]
    fn who_is_asked_answers_at_that_time_and_once() {
        let account = Account::new();
        assert!(account.put(100, 0));
        assert!(!account.put(90, 0), "one at a time");
        assert!(!account.is_idle());
        assert_eq!(account.asked(99), None);
        let question = account.asked(100).unwrap();
        account.answer(question, 8);
        assert_eq!(account.asked(110), None);
        account.answer(question, 16);
        let ticket = account.arrive(105, 0);
        assert_eq!(account.settle(), Some(8));
        assert_eq!(account.charge(110, 0), Some(5), "waits are charged beside it");
        assert_eq!(account.leave(ticket, 110, 0).gap, 0);
        assert!(account.is_idle());
        assert!(account.put(200, 0));
        assert_eq!(account.settle(), None);
        assert!(account.is_idle());
        // In a forked child nobody asks.
        assert!(account.put(300, 0));
        assert_eq!(account.charge(310, 1), None);
        assert!(account.is_idle() && account.put(320, 1));
    }

    #[test]
    fn a_forked_child_has_none_of_the_waiters() {
        let account = Account::new();
        let before = account.arrive(5, 0);
        assert_eq!(account.waiters(0), 1);
        assert_eq!(account.waiters(1), 0);
        assert_eq!(account.charge(100, 1), None);
        assert!(account.is_idle());
        let after = account.arrive(110, 1);
        assert_eq!(account.leave(before, 111, 1), Left { gap: 0, server: None });
        assert_eq!(account.cancel(before, 112, 1), 0);
        assert_eq!(account.charge(120, 1), Some(10));
        assert_eq!(account.leave(after, 120, 1).gap, 0);
        assert!(account.is_idle());
    }

    /// Sums go round; differences stay.
    #[test]
    fn moments_may_be_as_large_as_they_like() {
        let account = Account::new();
        let start = (1 << 57) - 50;
        let tickets: Vec<Ticket> = (0..100).map(|n| account.arrive(start + n, 0)).collect();
        let now = start + 1_000_000;
        assert_eq!(account.charge(now, 0), Some(100 * 1_000_000 - 99 * 50));
        for ticket in tickets {
            assert_eq!(account.leave(ticket, now, 0).gap, 0);
        }
        assert!(account.is_idle());
    }
}
