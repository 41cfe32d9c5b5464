#![expect(unsafe_code, reason = "counters are looked up before the lock is touched, and used after")]
//! The bookkeeping of one lock: which site it belongs to, its account, what is counted, and the side of who holds it.
use std::mem::offset_of;
use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::account::Account;
use super::book;
use super::deadlock::{self, Taken};
use super::traced::release;
use crate::local::Counter;
use crate::local::blocked::Identity;
use crate::local::held::Access;
use crate::site::LockSite;
use crate::store::histogram::Histogram;
use crate::trace::event::Class;
use crate::trace::record::{self, For};
use crate::{clock, fork, local, stack, trap};

/// What is known of a lock site, whatever the rates.
#[derive(Debug)]
pub(crate) struct Stats {
    /// Nanoseconds, but for what threads count for themselves: see [`Meter::waited`].
    pub(super) waited: AtomicU64,
    /// Of short waits a sample.
    pub(super) waits: Histogram,
    /// From a release until the waiter that it woke ran: nanoseconds, and waits that no holder was charged for. Only
    /// while `mutex` is on, whose row it is.
    pub(super) wake_up: AtomicU64,
    pub(super) wake_ups: AtomicU64,
    /// Waits, in units of [`book::COUNT_SCALE`], and their nanoseconds, of which nobody could be asked who held the lock:
    /// the next ones count for them.
    pub(super) unasked: [AtomicU64; 2],
    /// How long it was held by one alone: a sample.
    pub(super) holds: Histogram,
    /// Their number and their sum, each times its weight.
    held: [AtomicU64; 2],
}

impl Stats {
    pub(super) const fn new() -> Stats {
        Stats {
            waited: AtomicU64::new(0),
            waits: Histogram::new(),
            wake_up: AtomicU64::new(0),
            wake_ups: AtomicU64::new(0),
            unasked: [const { AtomicU64::new(0) }; 2],
            holds: Histogram::new(),
            held: [const { AtomicU64::new(0) }; 2],
        }
    }

    /// Nanoseconds for which nobody was charged, and so many waits that were wholly that.
    pub(super) fn nobodys(&self, time: i64, waits: u64) {
        if book::MUTEX_FRACTION.load(Relaxed) != 0 {
            self.wake_up.fetch_add(time as u64, Relaxed);
            self.wake_ups.fetch_add(waits, Relaxed);
        }
    }

    /// A wait of `delay` nanoseconds, of which so many are not counted yet.
    pub(super) fn waited(&self, delay: u64, uncounted: u64) {
        self.waited.fetch_add(uncounted, Relaxed);
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

pub(super) fn moment(ticks: u64) -> u64 {
    ticks >> MOMENT
}

/// A thread's own counter of a lock, looked up before it takes the lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready(Option<*const Counter>);

impl Ready {
    #[inline(always)]
    fn counter<'a>(self) -> Option<&'a Counter> {
        // SAFETY: counters are in blocks and chunks that live for ever. It is this thread's as long as no other one has the
        // `Ready`, and a pointer is not `Send`.
        self.0.map(|counter| unsafe { &*counter })
    }
}

/// Moments in nanoseconds.
pub(super) fn nanoseconds(moments: i64) -> i64 {
    clock::elapsed(0, moments.unsigned_abs() << MOMENT) as i64 * moments.signum()
}

/// The bookkeeping of one lock.
///
/// In this order, and the lock behind it: first what every acquisition reads and hardly anybody writes, last what every holder
/// writes. Whoever comes to a lock that another processor had then asks for one line, once.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Meter {
    origin: Origin,
    kind: Kind,
    /// The site's id once the lock was used.
    id: AtomicU32,
    /// Two more, once somebody waited: waits are counted by the one, their ticks by the other.
    contended: AtomicU32,
    waited: AtomicU32,
    /// Ticks of the longest wait.
    longest: AtomicU32,
    /// When the hold began that is timed, in ticks, over five bits of the logarithm of its weight.
    timed: AtomicU64,
    pub(super) account: Account,
    pub(super) identity: Identity,
}

// What an acquisition is counted by is never in a line that holders write to, wherever a lock lies.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(offset_of!(Meter, identity) - offset_of!(Meter, id) >= 64 && size_of::<Meter>() == 96);

impl Meter {
    const fn new(origin: Origin, kind: Kind) -> Meter {
        Meter {
            origin,
            kind,
            id: AtomicU32::new(0),
            contended: AtomicU32::new(0),
            waited: AtomicU32::new(0),
            longest: AtomicU32::new(0),
            timed: AtomicU64::new(0),
            account: Account::new(),
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

    /// Looks up what an acquisition will be counted by: best before the lock is touched. No load passes an atomic
    /// instruction, so behind it the release would have to wait for the lookup.
    #[inline(always)]
    pub(super) fn ready(&self) -> Ready {
        Ready(local::with(|local| local.counter(self.id.load(Relaxed) & deadlock::mask()).map(ptr::from_ref)))
    }

    /// Counts an acquisition by one alone, a thread that waited or would have. Its release is
    /// [`release`](Self::release).
    #[inline(always)]
    pub(super) fn acquired(&self, ready: Ready) {
        self.alone(ready, Some(Taken::waiting(Access::Alone)));
    }

    /// The same by a thread that would not have waited for ever.
    #[inline(always)]
    pub(super) fn tried(&self, ready: Ready) {
        self.alone(ready, Some(Taken::tried(Access::Alone)));
    }

    /// The same where another thread may release it: by a task, or with a guard that may be sent.
    #[allow(dead_code, reason = "which kinds of locks there are is a matter of features")]
    #[inline(always)]
    pub(super) fn acquired_by_any(&self, ready: Ready) {
        self.alone(ready, None);
    }

    #[inline(always)]
    pub(super) fn alone(&self, ready: Ready, how: Option<Taken>) {
        trap::not_in_handler(trap::LOCKS);
        local::with(|local| {
            if how.is_some() {
                self.identity.owner.store(local.number(), Relaxed);
            }
            match ready.counter() {
                Some(counter) if !counter.add_and_test() => {}
                // One call for both, so that what is common stays small enough to be a part of its caller.
                counter => self.rare(local, counter, how),
            }
        });
    }

    #[cold]
    #[inline(never)]
    fn rare(&self, local: &local::Local, counter: Option<&Counter>, how: Option<Taken>) {
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
    pub(super) fn shared(&self, ready: Ready) {
        self.with_others(ready, Some(Taken::waiting(Access::Shared)));
    }

    /// The same by a thread that would not have waited for ever.
    #[inline(always)]
    pub(super) fn tried_shared(&self, ready: Ready) {
        self.with_others(ready, Some(Taken::tried(Access::Shared)));
    }

    /// The same where another thread may release it.
    #[allow(dead_code, reason = "which kinds of locks there are is a matter of features")]
    #[inline(always)]
    pub(super) fn shared_by_any(&self, ready: Ready) {
        self.with_others(ready, None);
    }

    #[inline(always)]
    pub(super) fn with_others(&self, ready: Ready, how: Option<Taken>) {
        trap::not_in_handler(trap::LOCKS);
        match ready.counter() {
            Some(counter) => counter.add(),
            None => local::with(|local| self.rare_shared(local, how)),
        }
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
            if how.access == Access::Alone {
                self.account.note();
            }
        }
        stack::stay();
    }

    /// Times this hold.
    #[cold]
    #[inline(never)]
    fn time(&self, local: &local::Local, counter: &Counter) {
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

    /// Whether a thread has it that said so, as not all do.
    #[inline(always)]
    pub(super) fn is_anybodys(&self) -> bool {
        self.identity.owner.load(Relaxed) != 0
    }

    /// Counts somebody who waits. Whether that took no time.
    #[inline(always)]
    pub(super) fn met(&self) -> bool {
        local::with(|local| match local.counter(self.contended.load(Relaxed)) {
            Some(counter) => {
                counter.add();
                true
            }
            None => {
                self.first_wait(local);
                false
            }
        })
    }

    /// The first wait for the lock, or at this site by this thread.
    #[cold]
    #[inline(never)]
    fn first_wait(&self, local: &local::Local) {
        local.enter(|| {
            let site = self.site();
            // What the wait is booked under, and what it is counted by.
            let ids =
                [(&site.id, &self.id), (&site.waited, &self.waited), (&site.contended, &self.contended)];
            for (id, of_lock) in ids.into_iter().filter(|(_, of_lock)| of_lock.load(Relaxed) == 0) {
                of_lock.store(local::site_id(id), Relaxed);
            }
        });
        match local.counter(self.contended.load(Relaxed)) {
            Some(counter) => counter.add(),
            None => {
                if let Some(counter) = local::first_event(local, &self.contended) {
                    counter.add();
                }
            }
        }
    }

    /// What ticks that are waited are counted by. Threads do that for themselves, so that short waits write to no line that
    /// others use.
    pub(super) fn waited_id(&self) -> u32 {
        local::with(|local| {
            let id = self.waited.load(Relaxed);
            match local.counter(id) {
                Some(_) => id,
                None => local::counter_of(local, &self.waited).map_or(0, |_| id),
            }
        })
    }

    /// Counts so many.
    #[inline(always)]
    pub(super) fn waited(id: u32, ticks: u64) {
        local::with(|local| local.counter(id).into_iter().for_each(|counter| counter.add_many(ticks)));
    }

    /// Whether no wait of that many ticks was met before.
    #[inline(always)]
    pub(super) fn is_longest(&self, ticks: u64) -> bool {
        ticks > u64::from(self.longest.load(Relaxed))
    }

    /// Notes it.
    pub(super) fn longest(&self, ticks: u64) {
        self.longest.fetch_max(u32::try_from(ticks).unwrap_or(u32::MAX), Relaxed);
        if let Some(stats) = self.stats() {
            stats.waits.meet(clock::elapsed(0, ticks));
        }
    }

    fn site(&self) -> &'static LockSite {
        match self.origin {
            Origin::Site(site) => site,
            Origin::Caller(caller) => crate::site::lock_at(caller, (self.kind)()),
        }
    }

    pub(super) fn stats(&self) -> Option<&'static Stats> {
        local::with(|local| local.enter(|| self.site().stats.get_or_place(Stats::new))).flatten()
    }

    pub(super) fn what(&self) -> u64 {
        u64::from(self.id.load(Relaxed))
    }

    /// What a trace says that it is.
    pub(super) fn traced(&self, wants: Access) -> For {
        let is_rwlock = (self.kind)().contains("RwLock");
        let class = match wants {
            Access::Alone if !is_rwlock => Class::Mutex,
            Access::Alone => Class::RwLockWrite,
            _ => Class::RwLockRead,
        };
        For { class, site: self.id.load(Relaxed), name: "", object: std::ptr::from_ref(self).addr() }
    }

    /// To be called by who holds the lock alone, before releasing it.
    #[inline(always)]
    pub(super) fn release(&self) {
        // One whose order is checked is not idle.
        if !self.account.is_idle() {
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
        } else if alone {
            self.account.forget();
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
            self.account.serve(book::charge(self.what(), nanoseconds(due as i64) as u64));
            stack::stay();
            if record::is_on() {
                release(self.traced(if alone { Access::Alone } else { Access::Shared }));
                stack::stay();
            }
        }
        if let Some(question) = self.account.asked(now) {
            if let Some(answer) = book::answer(self.what(), now) {
                self.account.answer(question, answer);
            }
            stack::stay();
        }
    }
}
