//! Who is charged for a wait that a wake ends.
//!
//! The waker held what the others waited for, and is charged for all of it since the last charge there. That is right
//! where the word is the lock's own, as in the standard library: each who had the lock has charged his part.
//!
//! `parking_lot` waits at a word of the waiting *thread*, in a thread-local. Nobody charges there before the one wake
//! that ends the wait, by whoever happened to have the lock last. So that one is charged only since it was itself woken;
//! what is older it passes on to whoever woke it, and so on. What a wake was is kept in a ring until it is overwritten.
use std::cell::Cell;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use super::table::{self, ticks};
use super::{COUNT_SCALE, Kind, MUTEX, happens, known, wait};
use crate::hook::lock::rates;
use crate::local::Inside;
use crate::stack::Frames;
use crate::store::bucket::{Bucket, Key};
use crate::{clock, stack};

/// A charge of this many nanoseconds always takes a stack: see `hook::lock`.
const LONG_CHARGE: f64 = 1_000_000.0;

/// What the holders at one place are charged. It only grows.
#[derive(Default)]
pub(super) struct Charges {
    /// In units of 1/1024.
    pub(super) count: AtomicU64,
    pub(super) delay: AtomicU64,
    /// What was waited in.
    pub(super) kind: AtomicPtr<Kind>,
}

/// A wake of a thread at its own word.
struct Wake {
    /// 0 while it is being written.
    id: AtomicU64,
    waker: AtomicPtr<Bucket<Charges>>,
    /// When the waker was itself woken, and by which wake.
    woken: [AtomicU64; 2],
}

const WAKES: usize = 4096;
/// Wakes that are followed back.
const LINKS: usize = 8;

static RING: [Wake; WAKES] = [const {
    Wake {
        id: AtomicU64::new(0),
        waker: AtomicPtr::new(std::ptr::null_mut()),
        woken: [const { AtomicU64::new(0) }; 2],
    }
}; WAKES];

static NEXT: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// When this thread was last woken at its own word, as a moment, and by which wake. Const, without a destructor.
    static WOKEN: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// This thread was woken, if `by` is not 0, at the moment `at`.
pub(super) fn woken(at: u64, by: u64) {
    if by != 0 {
        WOKEN.set((at, by));
    }
}

/// A charge that is due.
pub(super) struct Due {
    now: u64,
    /// Moments waited, by so many.
    amount: u64,
    waiters: u64,
    kind: &'static Kind,
    /// The waker, if the word is the waiter's own, and by what it was woken itself.
    waker: Option<(Key, (u64, u64))>,
}

/// Charges the caller, who is about to wake those at `word`; to be booked when they are awake.
///
/// Only of a thread's own word is the stack, of which `skip` frames are left out, taken now: whoever is woken may have to
/// pass something on before this thread runs again.
#[inline(never)]
pub(super) fn charge(word: usize, skip: usize) -> Option<Due> {
    let mut due: Option<Due> = None;
    let mut own = None;
    table::charge(word, |entry, charge| {
        let before = due.take();
        if charge.is_own {
            let id = NEXT.fetch_add(1, Relaxed);
            entry.woken_by.store(id, Relaxed);
            own = Some(id);
        }
        due = Some(Due {
            now: charge.now,
            amount: charge.amount + before.as_ref().map_or(0, |before| before.amount),
            waiters: charge.waiters + before.map_or(0, |before| before.waiters),
            kind: charge.kind,
            waker: None,
        });
    });
    let mut due = due?;
    if let Some(id) = own
        && rates().1 != 0
        && let Some(inside) = Inside::enter()
    {
        let mut frames = Frames::new();
        stack::capture(&mut frames, skip + 1);
        let (key, woken) = (wait::key(&frames), WOKEN.get());
        if let Some(bucket) = bucket_of(key, due.kind) {
            keep(id, bucket, woken);
        }
        due.waker = Some((key, woken));
        drop(inside);
    }
    stack::stay();
    Some(due)
}

/// Books it at the caller's stack, of which `skip` frames are left out, or where it is to be passed on to.
#[inline(never)]
pub(super) fn book(due: &Due, skip: usize) {
    let delay = clock::elapsed(0, ticks(due.amount));
    let (_, fraction) = rates();
    if fraction == 0 || delay == 0 {
        return;
    }
    let probability = (1.0 / fraction as f64).max(delay as f64 / LONG_CHARGE).min(1.0);
    if !happens(probability) {
        return;
    }
    let Some(inside) = Inside::enter() else { return };
    let weight = 1.0 / probability;
    if let Some((key, woken)) = due.waker {
        share(due, key, woken, weight);
    } else {
        let mut frames = Frames::new();
        stack::capture(&mut frames, skip + 1);
        add(wait::key(&frames), due.kind, delay, weight, true);
    }
    drop(inside);
    stack::stay();
}

/// Gives each of those who held the others up his part.
fn share(due: &Due, waker: Key, woken: (u64, u64), weight: f64) {
    let begin = due.now.wrapping_sub(due.amount / due.waiters.max(1));
    let nanoseconds = |from: u64, to: u64| clock::elapsed(ticks(from), ticks(to)).saturating_mul(due.waiters);
    let mut parts = [None; LINKS];
    let (mut to, mut who, mut woken) = (due.now, waker, woken);
    for (link, part) in parts.iter_mut().enumerate() {
        let (at, by) = woken;
        let is_before = at.wrapping_sub(begin) as i64 <= 0 || link + 1 == LINKS;
        let earlier = if is_before { None } else { find(by) };
        let from = if earlier.is_some() { at } else { begin };
        *part = Some((who, nanoseconds(from, to)));
        let Some((key, before)) = earlier else { break };
        // What is passed on twice to one and the same is one charge.
        (to, who, woken) = (from, key, before);
    }
    let longest = parts.iter().flatten().map(|(_, delay)| *delay).max();
    let mut counted = false;
    for (who, delay) in parts.into_iter().flatten() {
        let counts = !counted && Some(delay) == longest;
        counted |= counts;
        add(who, due.kind, delay, weight, counts);
    }
}

fn bucket_of(key: Key, kind: &'static Kind) -> Option<&'static Bucket<Charges>> {
    let bucket = MUTEX.get(Key { what: std::ptr::from_ref(kind).addr() as u64, ..key })?;
    bucket.value().kind.store(std::ptr::from_ref(kind).cast_mut(), Release);
    Some(bucket)
}

fn add(key: Key, kind: &'static Kind, delay: u64, weight: f64, counts: bool) {
    if let Some(bucket) = bucket_of(key, kind) {
        let count = if counts { weight } else { 0.0 };
        bucket.value().count.fetch_add((count * COUNT_SCALE) as u64, Relaxed);
        bucket.value().delay.fetch_add((delay as f64 * weight) as u64, Relaxed);
    }
}

/// Keeps a wake for those who pass on.
fn keep(id: u64, waker: &'static Bucket<Charges>, woken: (u64, u64)) {
    let wake = &RING[id as usize % WAKES];
    wake.id.store(0, Release);
    wake.waker.store(std::ptr::from_ref(waker).cast_mut(), Release);
    wake.woken[0].store(woken.0, Release);
    wake.woken[1].store(woken.1, Release);
    wake.id.store(id, Release);
}

/// Who made the wake of this number, and by what that one was woken. `None`: it is not known any more, or not yet.
fn find(id: u64) -> Option<(Key, (u64, u64))> {
    let wake = &RING[id as usize % WAKES];
    let is_it = || id != 0 && wake.id.load(Acquire) == id;
    if !is_it() {
        return None;
    }
    let key = known(&wake.waker)?.key();
    let woken = (wake.woken[0].load(Acquire), wake.woken[1].load(Acquire));
    is_it().then_some((key, woken))
}
