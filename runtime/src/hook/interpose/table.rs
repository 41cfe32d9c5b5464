//! Who waits at which futex, and what of it has not been charged: one entry an address, in a table of fixed size.
//!
//! An entry's *account* is how many wait, the moment of the last charge, and the sum of the moments from which each of
//! them is still to be charged. So `waiters * now - starts` is what has been waited and not been charged, for all of
//! them at once. A charge sets every waiter's moment to its own; who arrives or leaves moves one. The three change
//! together, by one instruction, so that no order of these steps charges a moment twice or leaves one out.
//!
//! Whoever has to do with an entry *pins* it: waiters until they leave, wakers while they charge. One without pins has
//! nobody in it, and is the next address's. Nothing here waits, so that it may happen in a signal handler.
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering::AcqRel, Ordering::Relaxed, Ordering::Release,
};

use super::{Kind, known};
use crate::clock;
use crate::sys::interpose::Pair;

/// Addresses that are waited at, at a time.
const ENTRIES: usize = 4096;
/// Places that an address may be in.
const WINDOW: usize = 16;

/// An owner is an address, a multiple of four below 2^47, and as many pins as these bits hold.
const PIN_BITS: u32 = 18;
const PINS: u64 = (1 << PIN_BITS) - 1;

/// Of an account's first word, the moment of the last charge; above it, how many wait.
const LAST_BITS: u32 = 48;
const LAST: u64 = (1 << LAST_BITS) - 1;
const MAX_WAITERS: u64 = u64::MAX >> LAST_BITS;

/// Moments are ticks without these bits: some 20 ns. So the moment of the last charge may lie two months back.
const MOMENT: u32 = 6;

/// A moment, of ticks.
pub(super) fn moment(ticks: u64) -> u64 {
    ticks >> MOMENT
}

/// The ticks that so many moments are.
pub(super) fn ticks(moments: u64) -> u64 {
    moments << MOMENT
}

#[repr(align(64))]
pub(super) struct Entry {
    owner: AtomicU64,
    account: Pair,
    /// What the one who came last waits in.
    kind: AtomicPtr<Kind>,
    /// Who woke the one who waits here, where it is a thread's own word: see `chain`.
    pub(super) woken_by: AtomicU64,
    /// Whether it is the word of a single thread and not a lock's.
    is_own: AtomicBool,
}

static TABLE: [Entry; ENTRIES] = [const {
    Entry {
        owner: AtomicU64::new(0),
        account: Pair::new(),
        kind: AtomicPtr::new(std::ptr::null_mut()),
        woken_by: AtomicU64::new(0),
        is_own: AtomicBool::new(false),
    }
}; ENTRIES];

/// How many forks of this process there have been: an entry that was taken before one is nobody's after it.
static FORKS: AtomicU32 = AtomicU32::new(0);

static NO_ROOM: AtomicU64 = AtomicU64::new(0);

/// Waits that found no entry.
pub(super) fn no_room() -> u64 {
    NO_ROOM.load(Relaxed)
}

/// The places of an address, the same for all who ask.
fn window(address: usize) -> impl Iterator<Item = &'static Entry> {
    let hash = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (0..WINDOW).map(move |step| &TABLE[(hash as usize).wrapping_add(step) % ENTRIES])
}

fn owner_of(address: usize) -> u64 {
    (address as u64 >> 2) << PIN_BITS
}

/// A waiter's place in the table.
pub(super) struct Place {
    entry: &'static Entry,
    forks: u32,
    /// The moment from which it is to be charged, as it was when it came.
    from: u64,
}

/// What became of a wait.
pub(super) struct Left {
    /// The moment from which on nobody was charged.
    pub(super) from: u64,
    /// Whether somebody was charged for what was before.
    pub(super) is_charged: bool,
    /// Who woke it: see `chain`. 0 if nobody said.
    pub(super) woken_by: u64,
}

/// Somebody waits at `address` from `now` on, in `kind`. `None`, counted, if there is no room.
pub(super) fn arrive(address: usize, now: u64, kind: &'static Kind, is_own: bool) -> Option<Place> {
    let entry = pinned(address);
    if entry.is_none() {
        NO_ROOM.fetch_add(1, Relaxed);
    }
    let entry = entry?;
    entry.kind.store(std::ptr::from_ref(kind).cast_mut(), Release);
    entry.is_own.store(is_own, Relaxed);
    entry.woken_by.store(0, Relaxed);
    let mut from = now;
    let changed = entry.change(|account| {
        // The last charge may be a moment younger than the look at the clock: it has not counted this one. Where nobody
        // waits it was another's.
        let account = if account.waiters > 0 { account } else { Account { last: now, starts: 0, ..account } };
        from = account.later_of(now);
        let waiters = account.waiters.checked_add(1).filter(|&waiters| waiters <= MAX_WAITERS)?;
        Some(Account { waiters, starts: account.starts.wrapping_add(from), ..account })
    });
    if changed.is_none() {
        entry.unpin();
        NO_ROOM.fetch_add(1, Relaxed);
        return None;
    }
    Some(Place { entry, forks: FORKS.load(Relaxed), from })
}

/// The entry of `address`, or one that was nobody's, with one pin more.
fn pinned(address: usize) -> Option<&'static Entry> {
    let owner = owner_of(address);
    // Another thread may take the entry that is free: then look again, as it may have been for the same address.
    for _ in 0..WINDOW {
        if let Some(entry) = window(address).find(|entry| entry.pin(owner)) {
            return Some(entry);
        }
        let (entry, was) = window(address).find_map(|entry| {
            let was = entry.owner.load(Relaxed);
            (was & PINS == 0).then_some((entry, was))
        })?;
        if entry.owner.compare_exchange(was, owner | 1, AcqRel, Relaxed).is_ok() {
            return Some(entry);
        }
    }
    None
}

impl Place {
    /// It waits no longer. `None` in a process that was forked meanwhile.
    pub(super) fn leave(self) -> Option<Left> {
        if self.forks != FORKS.load(Relaxed) {
            return None;
        }
        let mut from = self.from;
        let left = self.entry.change(|account| {
            from = account.later_of(self.from);
            let waiters = account.waiters.checked_sub(1)?;
            let starts = if waiters > 0 { account.starts.wrapping_sub(from) } else { 0 };
            Some(Account { waiters, starts, ..account })
        });
        let woken_by = self.entry.woken_by.load(Relaxed);
        self.entry.unpin();
        left.map(|_| Left { from, is_charged: from != self.from, woken_by })
    }
}

/// What a waker is charged with at one entry.
pub(super) struct Charge {
    /// Up to this moment.
    pub(super) now: u64,
    /// What was waited, in moments.
    pub(super) amount: u64,
    /// By how many.
    pub(super) waiters: u64,
    pub(super) kind: &'static Kind,
    /// Whether the word is the waiter's own, and not a lock's.
    pub(super) is_own: bool,
}

/// Calls `f` for every entry in which somebody waits at `address`, once it is charged up to now. More than one there is
/// only if two threads were the first to come at the same moment.
pub(super) fn charge(address: usize, mut f: impl FnMut(&'static Entry, Charge)) {
    let owner = owner_of(address);
    for entry in window(address) {
        if !entry.pin(owner) {
            continue;
        }
        let mut charge = None;
        entry.change(|account| {
            // After the account was read: whoever is in it looked at the clock before. If the counters of two
            // processors differ all the same, the sum is wrong by as much until nobody waits here.
            let now = moment(clock::ticks_in_order());
            let amount = account.waiters.wrapping_mul(now).wrapping_sub(account.starts);
            charge =
                Some((amount, account.waiters, now)).filter(|_| account.waiters > 0 && amount as i64 > 0);
            charge?;
            Some(Account { last: now, starts: account.starts.wrapping_add(amount), ..account })
        });
        if let (Some((amount, waiters, now)), Some(kind)) = (charge, known(&entry.kind)) {
            f(entry, Charge { now, amount, waiters, kind, is_own: entry.is_own.load(Relaxed) });
        }
        entry.unpin();
    }
}

/// In a forked child nobody waits: those who did are not there.
pub(super) fn after_fork_in_child() {
    FORKS.fetch_add(1, Relaxed);
    for entry in &TABLE {
        // Pages that were never touched are not touched now.
        if entry.owner.load(Relaxed) != 0 {
            entry.account.clear();
            entry.owner.store(0, Relaxed);
        }
    }
}

#[derive(Clone, Copy)]
struct Account {
    waiters: u64,
    last: u64,
    starts: u64,
}

impl Account {
    fn of([first, starts]: [u64; 2]) -> Account {
        Account { waiters: first >> LAST_BITS, last: first & LAST, starts }
    }

    fn words(self) -> [u64; 2] {
        [self.waiters << LAST_BITS | self.last & LAST, self.starts]
    }

    /// `moment`, or the last charge if that is later.
    fn later_of(self, moment: u64) -> u64 {
        let ahead = self.last.wrapping_sub(moment) & LAST;
        if ahead < 1 << (LAST_BITS - 1) { moment.wrapping_add(ahead) } else { moment }
    }
}

impl Entry {
    /// One more pin, if it is `owner`'s and has any.
    fn pin(&self, owner: u64) -> bool {
        let mut was = self.owner.load(Relaxed);
        while was & !PINS == owner && was & PINS != 0 && was & PINS != PINS {
            match self.owner.compare_exchange_weak(was, was + 1, AcqRel, Relaxed) {
                Ok(_) => return true,
                Err(now) => was = now,
            }
        }
        false
    }

    fn unpin(&self) {
        self.owner.fetch_sub(1, Release);
    }

    /// Puts what `f` makes of the account in its place; nothing if that is `None`.
    fn change(&self, mut f: impl FnMut(Account) -> Option<Account>) -> Option<()> {
        let mut old = self.account.look();
        loop {
            let new = f(Account::of(old))?;
            match self.account.replace(old, new.words()) {
                Ok(()) => return Some(()),
                Err(now) => old = now,
            }
        }
    }
}
