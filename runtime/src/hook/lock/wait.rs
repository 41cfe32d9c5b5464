//! The side of who waits for a lock: first short and by itself, then as long as it takes.
//!
//! Most waits end within a microsecond. To come to the lock's [account](super::account) and to leave it takes as long, and
//! whoever holds the lock meanwhile has to look there before it goes: that would cost more than the wait. So a wait comes
//! to the account only when it has lasted for [`SPIN`] ticks. What it waited up to then each thread counts for itself,
//! and now and then it asks who holds the lock: at *points* of its waiting time, which are chosen beforehand, by chance and
//! so many nanoseconds apart in the mean. Whoever answers is charged for that many. It does not matter how long a
//! wait becomes because somebody is asked meanwhile: a point counts for what is waited between two points, and not for
//! what is waited around it.
//!
//! With a fraction of 1 there are no points, and every wait comes to the account at once.
use std::sync::atomic::Ordering::Relaxed;

use super::account::Ticket;
use super::book::{self, COUNT_SCALE};
use super::deadlock::Blocking;
use super::meter::{Meter, moment, nanoseconds};
use super::traced::Traced;
use super::waiting::Waiting;
use crate::hook::interpose;
use crate::local::blocked::{self, Manner};
use crate::store::bucket::Bucket;
use crate::{clock, fork, local, stack, trap};

/// Ticks, some microsecond: a wait that lasts longer comes to the account.
const SPIN: u64 = 2048;
/// Tries before that at the most, where a tick is long.
const TRIES: u32 = 64;
/// How long to spin before each further try. A lock that is held for less than a system call takes is then got without
/// one.
const SPINS: [u32; 5] = [4, 8, 16, 32, 64];

impl Meter {
    /// Waits for the lock by `block`, which is first tried for some microseconds by `again`. `has` tells whether the wait
    /// ended with the lock. The acquisition is not counted.
    #[inline]
    pub(super) fn wait<R>(
        &self,
        manner: Manner,
        mut again: impl FnMut() -> Option<R>,
        block: impl FnOnce() -> R,
        has: impl FnOnce(&R) -> bool,
    ) -> R {
        let mut wait = match book::between_points() {
            None => Wait::begin(self),
            Some(mean) => {
                trap::not_in_handler(trap::LOCKS);
                let start = clock::ticks();
                // Half of all who meet somebody have it now, and have not waited.
                if self.met()
                    && let Some(result) = again()
                {
                    return result;
                }
                let mut spin = Spin::begin(self, start, mean);
                while spin.goes_on() {
                    if let Some(result) = again() {
                        spin.has_it();
                        return result;
                    }
                    std::hint::spin_loop();
                }
                spin.stays()
            }
        };
        for spins in SPINS {
            (0..spins).for_each(|_| std::hint::spin_loop());
            if let Some(result) = again() {
                wait.has_it();
                return result;
            }
        }
        wait.show();
        let blocking = wait.blocks(manner);
        let traced = Traced::begin(self.traced(manner.wants), wait.waiting.as_ref().and_then(Waiting::stack));
        let result = interpose::own_wait(block);
        drop((traced, blocking));
        if has(&result) {
            wait.has_it();
        }
        result
    }
}

/// A short wait. All that is to be done for it is done while it waits and not once it has the lock: so it ends with the
/// look at the clock before the try that succeeds.
struct Spin<'a> {
    meter: &'a Meter,
    /// Ticks, as all of these.
    start: u64,
    waited: u64,
    /// What we took for ourselves meanwhile.
    ours: u64,
    /// The id that its ticks are counted by: the lock itself is best not looked at.
    counted_by: u32,
    tries: u32,
    passed: Passed,
    /// Nanoseconds from which on it is an event of `block`, at which rate, and where it is booked then.
    taken_from: u64,
    rate: u64,
    taken: Option<&'static Bucket>,
    /// It is in the histogram.
    shown: bool,
    /// Something is to be done at its end.
    marked: bool,
}

impl<'a> Spin<'a> {
    #[inline(never)]
    fn begin(meter: &'a Meter, start: u64, mean: u64) -> Spin<'a> {
        let (left, chance) =
            local::with(|local| (local.points.left(local, mean), local.random(|random| random.next())));
        let shown = (chance as u32).is_multiple_of(SHOWN);
        // It may come to the next point: who holds the lock then has to know.
        let asks = left <= SPIN && meter.account.put(start.wrapping_add(left), fork::generation());
        let (taken_from, rate) = book::taken_from((chance >> 32) as u32);
        Spin {
            meter,
            start,
            waited: 0,
            ours: 0,
            counted_by: meter.waited_id(),
            tries: TRIES,
            passed: Passed { asks, points: 0, mean },
            taken_from,
            rate,
            taken: None,
            shown,
            marked: asks || shown,
        }
    }

    /// Whether it is still a short one.
    #[inline(always)]
    fn goes_on(&mut self) -> bool {
        let waited = clock::ticks().wrapping_sub(self.start).wrapping_sub(self.ours);
        self.tries -= 1;
        // Counters of two processors may disagree: then it is very long, too.
        if self.tries == 0 || waited >= SPIN {
            return false;
        }
        // A thread that went to another processor may be a little earlier than it was.
        let more = waited.saturating_sub(self.waited);
        self.waited += more;
        Meter::waited(self.counted_by, more);
        self.passed.points += local::with(|local| local.points.pass(local, more));
        if clock::elapsed(0, self.waited) >= self.taken_from {
            self.take();
        }
        true
    }

    /// It is an event of `block`: its stack is taken now, and not once it has the lock, when others may wait for that. For
    /// as long as that usually takes it does not wait, unless it goes on to wait for long.
    #[cold]
    #[inline(never)]
    fn take(&mut self) {
        let begin = clock::ticks();
        self.taken = book::place(self.meter.what());
        self.taken_from = u64::MAX;
        self.marked = true;
        self.ours = clock::ticks().wrapping_sub(begin).min(MUCH);
        stack::stay();
    }

    /// It has the lock.
    #[inline(always)]
    fn has_it(self) {
        if self.marked || self.passed.points > 0 || self.meter.is_longest(self.waited) {
            self.book();
        }
    }

    #[cold]
    #[inline(never)]
    fn book(&self) {
        let delay = clock::elapsed(0, self.waited);
        if self.shown
            && let Some(stats) = self.meter.stats()
        {
            stats.waits.add(delay, u64::from(SHOWN));
        }
        self.meter.longest(self.waited);
        self.passed.settle(self.meter, End::Short(delay));
        if let Some(bucket) = self.taken {
            book::taken(bucket, delay, self.rate);
        }
    }

    /// It is no short one: it comes to the account.
    #[cold]
    #[inline(never)]
    fn stays(self) -> Wait<'a> {
        let Spin { meter, start, waited, ours, mut passed, rate, .. } = self;
        // Counters of two processors may disagree.
        let spun = (clock::ticks().wrapping_sub(start).wrapping_sub(ours) as i64).max(0) as u64;
        // It is short up to there; unless it was off the processor, when who holds the lock now may have come long after.
        let (from, nobodys) = match spun {
            ..SPIN => (spun, 0),
            SPIN..MUCH => (SPIN, 0),
            _ => (spun + ours, spun - SPIN),
        };
        passed.points += local::with(|local| local.points.pass(local, spun.min(SPIN).saturating_sub(waited)));
        if nobodys > 0
            && let Some(stats) = meter.stats()
        {
            stats.nobodys(clock::elapsed(0, nobodys) as i64, 0);
        }
        let ticket = meter.account.arrive(moment(start.wrapping_add(from)), fork::generation());
        Wait { meter, start, rate, counted: waited, ticket: Some(ticket), waiting: None, passed }
    }
}

/// One short wait in so many is in the histogram, so many times.
const SHOWN: u32 = 64;
/// Ticks that are far more than a short wait has.
const MUCH: u64 = 4 * SPIN;

/// Whether a wait asked who holds the lock, and how many points it passed as long as it was short, `mean` nanoseconds apart
/// in the mean.
#[derive(Clone, Copy)]
struct Passed {
    asks: bool,
    points: u64,
    mean: u64,
}

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It was a short one of so many nanoseconds, and is to be counted here.
    Short(u64),
    /// It was a long one.
    Long,
    /// It was one that gave up.
    GaveUp,
}

impl Passed {
    /// The wait is over. If it asked, whoever answered is charged.
    fn settle(self, meter: &Meter, end: End) {
        let answer = if self.asks { meter.account.settle() } else { None };
        if self.points == 0 || book::MUTEX_FRACTION.load(Relaxed) == 0 {
            return;
        }
        let Some(stats) = meter.stats() else { return };
        // Of waits this long, one in `mean / delay` has a point. How long the answer took is none of its length.
        let waits = match end {
            End::Short(delay) => {
                let took = answer.map_or(0, book::took);
                self.mean as f64 / delay.saturating_sub(took).max(LEAST) as f64
            }
            End::Long | End::GaveUp => 0.0,
        };
        let sum = [(self.points as f64 * waits * COUNT_SCALE) as u64, self.points.saturating_mul(self.mean)];
        // Who gave up may have done so before whoever holds the lock could answer.
        if answer.is_none() && (!self.asks || end == End::GaveUp) {
            stats.unasked.iter().zip(sum).for_each(|(total, more)| _ = total.fetch_add(more, Relaxed));
            return;
        }
        let [waits, delay] = [0, 1].map(|n| sum[n] + stats.unasked[n].swap(0, Relaxed));
        match answer {
            Some(answer) => book::answered(answer, [waits, delay]),
            None => stats.nobodys(delay as i64, waits / COUNT_SCALE as u64),
        }
    }
}

/// Nanoseconds that the shortest wait has.
const LEAST: u64 = 10;

/// One who waits for a lock. Dropped, it has given up: what it waited is booked, and charged to whoever holds the lock.
pub(super) struct Wait<'a> {
    meter: &'a Meter,
    /// Ticks.
    start: u64,
    /// That of `block` when it began.
    rate: u64,
    ticket: Option<Ticket>,
    waiting: Option<Waiting>,
    /// Ticks that are counted already.
    counted: u64,
    passed: Passed,
}

impl<'a> Wait<'a> {
    #[inline(never)]
    pub(super) fn begin(meter: &'a Meter) -> Wait<'a> {
        trap::not_in_handler(trap::LOCKS);
        // A thread's first wait takes longer to be counted, and it waits already.
        let start = clock::ticks();
        _ = meter.met();
        let ticket = meter.account.arrive(moment(start), fork::generation());
        Wait {
            meter,
            start,
            rate: book::BLOCK_RATE.load(Relaxed),
            ticket: Some(ticket),
            waiting: None,
            counted: 0,
            passed: Passed { asks: false, points: 0, mean: 0 },
        }
    }

    /// It will be long: it is shown while it lasts.
    #[inline(never)]
    pub(super) fn show(&mut self) {
        self.waiting = Some(Waiting::begin(self.start, self.meter.what(), None));
        stack::stay();
    }

    /// It waits on this thread, and does nothing else.
    fn blocks(&self, manner: Manner) -> Blocking {
        Blocking::begin(blocked::Wait {
            lock: Some(&self.meter.identity),
            site: self.meter.what() as u32,
            since: self.start,
            stack: self.waiting.as_ref().and_then(Waiting::stack),
            manner,
        })
    }

    /// It has the lock.
    #[inline(never)]
    pub(super) fn has_it(mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let now = clock::ticks();
        let left = self.meter.account.leave(ticket, moment(now), fork::generation());
        let (ticks, delay) = (now.wrapping_sub(self.start), clock::elapsed(self.start, now));
        if let Some(stats) = self.meter.stats() {
            stats.waited(delay, clock::elapsed(self.counted, ticks));
            stats.nobodys(nanoseconds(left.gap), u64::from(left.server.is_none()));
        }
        if let Some(server) = left.server {
            book::served(server);
        }
        self.end(End::Long, delay);
        stack::stay();
    }

    #[inline(never)]
    fn end(&mut self, end: End, delay: u64) {
        self.passed.settle(self.meter, end);
        match self.waiting.take() {
            Some(waiting) => waiting.end(delay),
            None => book::wait_here(self.meter.what(), delay, self.rate),
        }
        stack::stay();
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let now = clock::ticks();
            let gap = self.meter.account.cancel(ticket, moment(now), fork::generation());
            let (ticks, delay) = (now.wrapping_sub(self.start), clock::elapsed(self.start, now));
            if let Some(stats) = self.meter.stats() {
                stats.waited(delay, clock::elapsed(self.counted, ticks));
                stats.nobodys(nanoseconds(gap), 0);
            }
            self.end(End::GaveUp, delay);
        }
    }
}
