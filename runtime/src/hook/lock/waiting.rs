//! Who waits right now: `block` shows those, too, with the time so far in the row that they will be booked in.
//!
//! A wait that is about to become long takes a slot of a fixed table and puts there where it is to be booked and since
//! when it waits. So taking its stack comes before the wait, and not after it with the lock in hand. A slot goes round
//! from free to waiting to booking; its state counts the rounds, so that who reads it knows whether it read one wait.
//!
//! Totals only grow: a reader adds what still waits *after* it has read a bucket to what it read, and looks again when a
//! wait has ended meanwhile. See [`values`].
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use super::book::{self, BLOCK, BLOCK_RATE};
use crate::clock;
use crate::store::Stack;
use crate::store::arena::Noted;
use crate::store::bucket::{Bucket, Counters};

/// Waits that are shown at once; a page of slots costs memory when it is first used. Those that find no slot are
/// counted, and booked when they end.
const SLOTS: usize = 4096;
/// Places that a wait looks for a free slot at.
const TRIES: usize = 64;

const FREE: u64 = 0;
const TAKEN: u64 = 1;
const WAITING: u64 = 2;
const BOOKING: u64 = 3;
const ROUND: u64 = 4;

#[repr(align(64))]
struct Slot<V: 'static> {
    /// Rounds, and in the two lowest bits where in one it is.
    state: AtomicU64,
    bucket: Noted<Bucket<V>>,
    /// Ticks.
    since: AtomicU64,
    /// The rate in force when it began.
    rate: AtomicU64,
    /// The number of the thread that began it, or 0.
    thread: AtomicU32,
}

/// What is booked of waits at one place.
pub(crate) trait Booked: Sync + 'static {
    /// Their number, in units of `COUNT_SCALE`, and nanoseconds. Both are added to with `Release`.
    fn booked(&self) -> [&AtomicU64; 2];
}

impl Booked for Counters {
    fn booked(&self) -> [&AtomicU64; 2] {
        [&self.first, &self.second]
    }
}

/// Those who wait, and are booked in one kind of bucket.
pub(crate) struct Table<V: 'static>([Slot<V>; SLOTS]);

static TABLE: Table<Counters> = Table::new();

static UNSEEN: AtomicU64 = AtomicU64::new(0);

/// Waits that found no slot.
pub(super) fn unseen() -> u64 {
    UNSEEN.load(Relaxed)
}

/// One wait, from before it until it is dropped. It may move to another thread, as futures do.
pub(super) struct Waiting {
    shown: Option<Shown<Counters>>,
    bucket: Option<&'static Bucket>,
    since: u64,
    rate: u64,
}

impl Waiting {
    /// The caller began to wait at `since`, in ticks, for the lock `what`, and is not likely to be done soon.
    pub(super) fn begin(since: u64, what: u64, label: Option<(&str, &str)>) -> Waiting {
        let rate = BLOCK_RATE.load(Relaxed);
        let bucket = if rate == 0 { None } else { book::here(&BLOCK, what, label) };
        let shown = bucket.and_then(|bucket| TABLE.show(bucket, since, rate));
        Waiting { shown, bucket, since, rate }
    }

    /// Its stack, if it is to be booked.
    pub(super) fn stack(&self) -> Option<Stack> {
        self.bucket.map(|bucket| bucket.key().stack)
    }

    /// Since when, in ticks.
    pub(super) fn since(&self) -> u64 {
        self.since
    }

    /// It ends now, after `delay` nanoseconds.
    pub(super) fn end(mut self, delay: u64) {
        self.book(delay);
    }

    /// It was no wait.
    pub(super) fn forget(mut self) {
        self.rate = 0;
    }

    fn book(&mut self, delay: u64) {
        let Some(bucket) = self.bucket.take() else { return };
        let rate = self.rate;
        let book = || {
            let probability = book::probability(delay, rate);
            if book::happens(probability) {
                book::wait(bucket, delay, probability);
            }
        };
        match self.shown.take() {
            Some(shown) => shown.end(book),
            None => book(),
        }
    }
}

/// A wait that has a slot.
pub(crate) struct Shown<V: 'static> {
    slot: &'static Slot<V>,
    /// That the slot has while this wait has it.
    state: u64,
}

impl<V> Shown<V> {
    /// It is over, and is booked by `book`.
    pub(crate) fn end(self, book: impl FnOnce()) {
        let Shown { slot, state } = self;
        // A forked child has freed it.
        let is_here = slot.state.compare_exchange(state, state - WAITING + BOOKING, Relaxed, Relaxed).is_ok();
        book();
        if is_here {
            slot.state.store((state - WAITING).wrapping_add(ROUND), Release);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.bucket.is_some() {
            self.book(clock::elapsed(self.since, clock::ticks()));
        }
    }
}

impl<V: Booked> Table<V> {
    pub(crate) const fn new() -> Table<V> {
        Table(
            [const {
                Slot {
                    state: AtomicU64::new(FREE),
                    bucket: Noted::new(),
                    since: AtomicU64::new(0),
                    rate: AtomicU64::new(0),
                    thread: AtomicU32::new(0),
                }
            }; SLOTS],
        )
    }

    /// Somebody waits since `since`, in ticks, and is to be booked in this bucket. `None`, counted: there is no room.
    /// Takes no lock and waits for nobody.
    pub(crate) fn show(&'static self, bucket: &'static Bucket<V>, since: u64, rate: u64) -> Option<Shown<V>> {
        let free = self.claim();
        if free.is_none() {
            UNSEEN.fetch_add(1, Relaxed);
        }
        let (slot, state) = free?;
        slot.bucket.set(Some(bucket));
        slot.since.store(since, Relaxed);
        slot.rate.store(rate, Relaxed);
        slot.thread.store(crate::local::with(|local| local.number()), Relaxed);
        slot.state.store(state, Release);
        Some(Shown { slot, state })
    }

    /// A free slot, taken, and the state to give it when it is filled.
    fn claim(&'static self) -> Option<(&'static Slot<V>, u64)> {
        let first = crate::local::with(|local| local.random(|random| random.next())) as usize;
        (0..TRIES).map(|step| &self.0[(first.wrapping_add(step)) % SLOTS]).find_map(|slot| {
            let state = slot.state.load(Relaxed);
            let free = state % ROUND == FREE;
            (free && slot.state.compare_exchange(state, state + TAKEN, Acquire, Relaxed).is_ok())
                .then_some((slot, state + WAITING))
        })
    }

    /// In a forked child nobody waits: those who did are not there.
    pub(crate) fn after_fork_in_child(&self) {
        for slot in &self.0 {
            let state = slot.state.load(Relaxed);
            if state % ROUND != FREE {
                slot.state.store((state & !(ROUND - 1)).wrapping_add(ROUND), Relaxed);
            }
        }
    }

    /// All who wait now, longer than what is always sampled, and than `least` nanoseconds.
    pub(crate) fn all(&'static self, least: u64) -> Vec<Seen<V>> {
        let seen = |slot: &'static Slot<V>| {
            let state = slot.state.load(Acquire);
            if state % ROUND != WAITING {
                return None;
            }
            let (bucket, since) = (slot.bucket.get()?, slot.since.load(Acquire));
            let (rate, thread) = (slot.rate.load(Acquire), slot.thread.load(Acquire));
            let delay = clock::elapsed(since, clock::ticks());
            let same = slot.state.load(Relaxed) == state;
            (same && delay >= rate.max(least) && delay > 0).then_some(Seen {
                slot,
                state,
                bucket,
                thread,
                delay,
            })
        };
        self.0.iter().filter_map(seen).collect()
    }
}

/// In a forked child nobody waits.
pub(super) fn after_fork_in_child() {
    TABLE.after_fork_in_child();
}

/// A wait as a reader met it.
pub(crate) struct Seen<V: 'static> {
    slot: &'static Slot<V>,
    state: u64,
    pub(crate) bucket: &'static Bucket<V>,
    /// The number of the thread that began it, or 0.
    #[cfg_attr(not(profiled_interpose), expect(dead_code, reason = "nobody else asks"))]
    pub(crate) thread: u32,
    /// Nanoseconds so far.
    pub(crate) delay: u64,
}

/// All who wait now for what is ours.
pub(super) fn all() -> Vec<Seen<Counters>> {
    TABLE.all(0)
}

/// Those of them that are to be booked in each bucket, by its address.
pub(crate) fn by_bucket<V>(waits: &[Seen<V>]) -> HashMap<usize, Vec<&Seen<V>>> {
    let mut by_bucket: HashMap<usize, Vec<&Seen<V>>> = HashMap::new();
    for wait in waits {
        by_bucket.entry(std::ptr::from_ref(wait.bucket).addr()).or_default().push(wait);
    }
    by_bucket
}

/// How often a reader looks again before it takes what it has. Then a wait that has just ended may be missing, until
/// the next look.
const LOOKS: usize = 1000;

/// What a bucket's row comes to: what is booked, and what those of `waits` add that still wait: how many they are,
/// and nanoseconds. Each wait is in one of the two.
pub(crate) fn values<V: Booked>(bucket: &'static Bucket<V>, waits: &[&Seen<V>]) -> ([u64; 2], [u64; 2]) {
    let booked = || bucket.value().booked().map(|value| value.load(Acquire));
    let mut before = None;
    for _ in 0..LOOKS {
        let booked = booked();
        let (mut waiting, mut booking) = ([0; 2], false);
        for wait in waits {
            match wait.slot.state.load(Acquire).wrapping_sub(wait.state) {
                0 => waiting = [waiting[0] + 1, waiting[1] + wait.delay],
                1 => booking = true,
                _ => {}
            }
        }
        // Those that had ended at the look before are booked in what was read after it, and the others did not end.
        if waits.is_empty() || !booking && before == Some(waiting) {
            return (booked, waiting);
        }
        if booking {
            std::thread::yield_now();
        }
        before = (!booking).then_some(waiting);
    }
    (booked(), [0; 2])
}
