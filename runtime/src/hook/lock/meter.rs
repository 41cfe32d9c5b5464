//! The bookkeeping of one lock: which site it belongs to, its account, and the two sides of a wait.
use std::panic::Location;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::account::{Account, Ticket};
use super::book;
use super::deadlock::{self, Blocking, Taken};
use super::waiting::Waiting;
use crate::hook::interpose;
use crate::local::blocked::{self, Identity, Manner};
use crate::local::held::Access;
use crate::site::LockSite;
use crate::store::histogram::Histogram;
use crate::{clock, fork, local, stack, trap};

/// What is known of a lock site, whatever the rates.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(super) contended: AtomicU64,
    pub(super) waited: AtomicU64,
    pub(super) waits: Histogram,
    /// From a release until the waiter that it woke ran: nanoseconds, and waits that no holder was charged for. Only
    /// while `mutex` is on, whose row it is.
    pub(super) wake_up: AtomicU64,
    pub(super) wake_ups: AtomicU64,
    /// How long it was held by one alone: a sample.
    pub(super) holds: Histogram,
    /// Their number and their sum, each times its weight.
    held: [AtomicU64; 2],
}

impl Stats {
    pub(super) const fn new() -> Stats {
        Stats {
            contended: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            waits: Histogram::new(),
            wake_up: AtomicU64::new(0),
            wake_ups: AtomicU64::new(0),
            holds: Histogram::new(),
            held: [const { AtomicU64::new(0) }; 2],
        }
    }

    /// Moments of a wait for which nobody was charged, and whether that was all of it.
    fn nobodys(&self, moments: i64, all: bool) {
        if book::MUTEX_FRACTION.load(Relaxed) != 0 {
            let time = nanoseconds(moments.unsigned_abs());
            self.wake_up.fetch_add(if moments < 0 { time.wrapping_neg() } else { time }, Relaxed);
            self.wake_ups.fetch_add(u64::from(all), Relaxed);
        }
    }

    fn waited(&self, delay: u64) {
        self.contended.fetch_add(1, Relaxed);
        self.waited.fetch_add(delay, Relaxed);
        self.waits.add(delay, 1);
    }

    /// The logarithm of how many holds one that is timed stands for, so that timing costs some per cent of what is
    /// timed: each one of 20 us, one in 2048 of 10 ns.
    fn gap(&self) -> u32 {
        let mean = self.held[1].load(Relaxed).checked_div(self.held[0].load(Relaxed));
        mean.map_or(0, |mean| (WORTH / mean.max(1)).max(1).ilog2().min(LONGEST))
    }
}

/// Timing a hold takes some 150 ns.
const WORTH: u64 = 20_000;
/// The logarithm of the longest gap between two holds that are timed.
const LONGEST: u32 = 11;

/// Where a lock was made.
#[derive(Clone, Copy, Debug)]
enum Origin {
    Site(&'static LockSite),
    /// By a typed wrapper's own `new`: the site is found at the first use.
    Caller(&'static Location<'static>),
}

/// What a lock is called that has no name and was made inside the standard library: its type.
pub(super) type Kind = fn() -> &'static str;

/// The account's moments are ticks without these bits: some 50 ns. So the debt of a lock has room for 100 hours of waiting
/// since its last release, those of all who wait added up.
const MOMENT: u32 = 7;

fn moment(ticks: u64) -> u64 {
    ticks >> MOMENT
}

/// Moments in nanoseconds.
fn nanoseconds(moments: u64) -> u64 {
    clock::elapsed(0, moments << MOMENT)
}

/// The bookkeeping of one lock.
#[derive(Debug)]
pub(super) struct Meter {
    origin: Origin,
    kind: Kind,
    /// When the hold began that is timed, in ticks, over five bits of the logarithm of its weight.
    timed: AtomicU64,
    account: Account,
    /// The site's id once the lock was used.
    id: AtomicU32,
    identity: Identity,
}

impl Meter {
    const fn new(origin: Origin, kind: Kind) -> Meter {
        Meter {
            origin,
            kind,
            timed: AtomicU64::new(0),
            account: Account::new(),
            id: AtomicU32::new(0),
            identity: Identity::new(),
        }
    }

    /// Of a lock that goes by the place that this is called from.
    #[track_caller]
    pub(super) const fn here(kind: Kind) -> Meter {
        Meter::new(Origin::Caller(Location::caller()), kind)
    }

    /// Of one that a macro marked.
    pub(super) const fn at(site: &'static LockSite, kind: Kind) -> Meter {
        Meter::new(Origin::Site(site), kind)
    }

    /// Gives it a name, unless it has one.
    pub(super) const fn name(&mut self, site: &'static LockSite) {
        if let Origin::Caller(_) = self.origin {
            self.origin = Origin::Site(site);
        }
    }

    /// What was used goes by its place already.
    pub(super) fn name_unused(&mut self, site: &'static LockSite) {
        if *self.id.get_mut() == 0 {
            self.name(site);
        }
    }

    /// Counts an acquisition by one alone, a thread that waited or would have. Its release is
    /// [`release`](Self::release).
    #[inline(always)]
    pub(super) fn acquired(&self) {
        self.alone(Some(Taken::waiting(Access::Alone)));
    }

    /// The same by a thread that would not have waited for ever.
    #[inline(always)]
    pub(super) fn tried(&self) {
        self.alone(Some(Taken::tried(Access::Alone)));
    }

    /// The same where another thread may release it: by a task, or with a guard that may be sent.
    #[allow(dead_code, reason = "which kinds of locks there are is a matter of features")]
    #[inline(always)]
    pub(super) fn acquired_by_any(&self) {
        self.alone(None);
    }

    #[inline(always)]
    pub(super) fn alone(&self, how: Option<Taken>) {
        trap::not_in_handler(trap::LOCKS);
        local::with(|local| {
            if how.is_some() {
                self.identity.owner.store(local.number(), Relaxed);
            }
            match local.counter(self.id.load(Relaxed) & deadlock::mask()) {
                Some(counter) if !counter.add_and_test() => {}
                // One call for both, so that what is common stays small enough to be a part of its caller.
                counter => self.rare(local, counter, how),
            }
        });
    }

    #[cold]
    #[inline(never)]
    fn rare(&self, local: &local::Local, counter: Option<&local::Counter>, how: Option<Taken>) {
        match counter {
            Some(counter) => self.time(local, counter),
            None => {
                match local.counter(self.id.load(Relaxed)) {
                    Some(counter) if counter.add_and_test() => self.time(local, counter),
                    Some(_) => {}
                    None => self.first(local),
                }
                if let Some(how) = how {
                    // The thread has its number now.
                    self.identity.owner.store(local.number(), Relaxed);
                    self.in_order(how);
                }
            }
        }
        stack::stay();
    }

    /// Counts an acquisition that others may share, by a thread that waited or would have. Its release is
    /// [`release_shared`](Self::release_shared).
    #[inline(always)]
    pub(super) fn shared(&self) {
        self.with_others(Some(Taken::waiting(Access::Shared)));
    }

    /// The same by a thread that would not have waited for ever.
    #[inline(always)]
    pub(super) fn tried_shared(&self) {
        self.with_others(Some(Taken::tried(Access::Shared)));
    }

    /// The same where another thread may release it.
    #[allow(dead_code, reason = "which kinds of locks there are is a matter of features")]
    #[inline(always)]
    pub(super) fn shared_by_any(&self) {
        self.with_others(None);
    }

    #[inline(always)]
    pub(super) fn with_others(&self, how: Option<Taken>) {
        trap::not_in_handler(trap::LOCKS);
        local::with(|local| match local.counter(self.id.load(Relaxed) & deadlock::mask()) {
            Some(counter) => counter.add(),
            None => self.rare_shared(local, how),
        });
    }

    #[cold]
    #[inline(never)]
    fn rare_shared(&self, local: &local::Local, how: Option<Taken>) {
        match local.counter(self.id.load(Relaxed)) {
            Some(counter) => counter.add(),
            None => self.first(local),
        }
        if let Some(how) = how {
            self.in_order(how);
        }
        stack::stay();
    }

    #[inline(never)]
    fn in_order(&self, how: Taken) {
        if deadlock::checks() {
            deadlock::taken(&self.identity, self.id.load(Relaxed), how);
        }
        stack::stay();
    }

    /// Times this hold.
    #[cold]
    #[inline(never)]
    fn time(&self, local: &local::Local, counter: &local::Counter) {
        let Some(stats) = self.stats() else { return };
        let log = stats.gap();
        let gap = local.random(|random| random.gap(1 << log));
        let weight = counter.draw(gap, log);
        self.timed.store(clock::ticks() << 5 | u64::from(weight), Relaxed);
        self.account.watch();
    }

    /// The first acquisition of the lock, or of this site by this thread.
    #[cold]
    #[inline(never)]
    fn first(&self, local: &local::Local) {
        if self.id.load(Relaxed) == 0 {
            local.enter(|| {
                let site = self.site();
                if site.id.load(Relaxed) == 0 {
                    local::site_id(&site.id);
                }
                self.id.store(site.id.load(Relaxed), Relaxed);
            });
        }
        match local.counter(self.id.load(Relaxed)) {
            Some(counter) => counter.add(),
            None => {
                if let Some(counter) = local::first_event(local, &self.id) {
                    counter.add();
                }
            }
        }
    }

    fn site(&self) -> &'static LockSite {
        match self.origin {
            Origin::Site(site) => site,
            Origin::Caller(caller) => crate::site::lock_at(caller, (self.kind)()),
        }
    }

    fn stats(&self) -> Option<&'static Stats> {
        local::with(|local| local.enter(|| self.site().stats.get_or_place(Stats::new))).flatten()
    }

    fn what(&self) -> u64 {
        u64::from(self.id.load(Relaxed))
    }

    /// To be called by who holds the lock alone, before releasing it.
    #[inline(always)]
    pub(super) fn release(&self) {
        if !self.account.is_idle() || deadlock::checks() {
            self.release_slow(true);
        }
        self.identity.owner.store(0, Relaxed);
    }

    /// To be called by one of those who share the lock, before releasing it.
    #[inline(always)]
    pub(super) fn release_shared(&self) {
        if !self.account.is_idle() || deadlock::checks() {
            self.release_slow(false);
        }
    }

    /// Who held it has less of it from now on, without having released it.
    #[allow(dead_code, reason = "which kinds of locks there are is a matter of features")]
    pub(super) fn downgraded(&self, to: Access) {
        if deadlock::checks() {
            deadlock::taken(&self.identity, self.what() as u32, Taken::tried(to));
        }
        stack::stay();
    }

    /// Somebody waits, or this hold is timed.
    #[cold]
    #[inline(never)]
    fn release_slow(&self, alone: bool) {
        if deadlock::checks() {
            deadlock::released(&self.identity);
        }
        let now = clock::ticks();
        if alone && self.account.unwatch() {
            let timed = self.timed.load(Relaxed);
            let ticks = ((now << 5).wrapping_sub(timed & !31) as i64 >> 5).max(0) as u64;
            let (hold, weight) = (clock::elapsed(0, ticks), 1 << (timed & 31));
            if let Some(stats) = self.stats() {
                stats.holds.add(hold, weight);
                stats.held[0].fetch_add(weight, Relaxed);
                stats.held[1].fetch_add(hold.saturating_mul(weight), Relaxed);
            }
        }
        if let Some(due) = self.account.charge(moment(now), fork::generation()) {
            self.account.serve(book::charge(self.what(), nanoseconds(due)));
            stack::stay();
        }
    }

    /// Waits for the lock by `block`, which is first tried a few times by `again`. `has` tells whether the wait
    /// ended with the lock. The acquisition is not counted.
    #[inline]
    pub(super) fn wait<R>(
        &self,
        manner: Manner,
        mut again: impl FnMut() -> Option<R>,
        block: impl FnOnce() -> R,
        has: impl FnOnce(&R) -> bool,
    ) -> R {
        let mut wait = Wait::begin(self);
        for spins in SPINS {
            (0..spins).for_each(|_| std::hint::spin_loop());
            if let Some(result) = again() {
                wait.has_it();
                return result;
            }
        }
        wait.show();
        let blocking = wait.blocks(manner);
        let result = interpose::own_wait(block);
        drop(blocking);
        if has(&result) {
            wait.has_it();
        }
        result
    }
}

/// How long to spin before each try. A lock that is held for less than a system call takes is then got without one.
const SPINS: [u32; 5] = [4, 8, 16, 32, 64];

/// One who waits for a lock. Dropped, it has given up: what it waited is booked, and charged to whoever holds the lock.
pub(super) struct Wait<'a> {
    meter: &'a Meter,
    /// Ticks.
    start: u64,
    ticket: Option<Ticket>,
    waiting: Option<Waiting>,
}

impl<'a> Wait<'a> {
    #[inline(never)]
    pub(super) fn begin(meter: &'a Meter) -> Wait<'a> {
        trap::not_in_handler(trap::LOCKS);
        // Its id is what the wait is booked under.
        if meter.id.load(Relaxed) == 0 {
            local::with(|local| {
                local.enter(|| {
                    let site = meter.site();
                    local::site_id(&site.id);
                    meter.id.store(site.id.load(Relaxed), Relaxed);
                })
            });
        }
        let start = clock::ticks();
        let ticket = meter.account.arrive(moment(start), fork::generation());
        Wait { meter, start, ticket: Some(ticket), waiting: None }
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
            site: self.meter.id.load(Relaxed),
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
        let delay = clock::elapsed(self.start, now);
        if let Some(stats) = self.meter.stats() {
            stats.waited(delay);
            stats.nobodys(left.gap, left.server.is_none());
        }
        if let Some(server) = left.server {
            book::served(server);
        }
        self.end(delay);
        stack::stay();
    }

    #[inline(never)]
    fn end(&mut self, delay: u64) {
        match self.waiting.take() {
            Some(waiting) => waiting.end(delay),
            None => book::wait_here(self.meter.what(), delay),
        }
        stack::stay();
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let now = clock::ticks();
            let gap = self.meter.account.cancel(ticket, moment(now), fork::generation());
            let delay = clock::elapsed(self.start, now);
            if let Some(stats) = self.meter.stats() {
                stats.waited(delay);
                stats.nobodys(gap, false);
            }
            self.end(delay);
        }
    }
}
