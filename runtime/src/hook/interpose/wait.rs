//! A wait, from before the system call until after it.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::Release};

use super::table::{self, Place, moment};
use super::{BLOCK, COUNT_SCALE, KINDS, Kind, chain, happens};
use crate::hook::lock::rates;
use crate::hook::lock::waiting::{Booked, Shown, Table};
use crate::local::Inside;
use crate::stack::Frames;
use crate::store::Stack;
use crate::store::bucket::{Bucket, Key};
use crate::sys::interpose as sys;
use crate::trace::event::Class;
use crate::trace::record::{self, For};
use crate::{clock, label, local, stack};

/// What is counted of the waits at one place. They only grow.
#[derive(Default)]
pub(super) struct Waits {
    /// In units of 1/1024.
    pub(super) count: AtomicU64,
    pub(super) delay: AtomicU64,
    /// Of `delay`, what nobody was charged for.
    pub(super) uncharged: AtomicU64,
}

impl Booked for Waits {
    fn booked(&self) -> [&AtomicU64; 2] {
        [&self.count, &self.delay]
    }
}

/// Waits for futexes that are not over.
pub(super) static WAITING: Table<Waits> = Table::new();

/// Nanoseconds from which on a wait is shown while it lasts. A call that finds its word changed is none, and takes less, or
/// is taken for one: totals only grow.
pub(super) const SHOWN: u64 = 100_000;

/// The innermost frames, enough to tell one kind of lock from another: in builds that are not optimised every closure has
/// one.
const KIND_FRAMES: usize = if cfg!(debug_assertions) { 8 } else { 5 };

/// A wait that has begun.
pub(super) struct Begun {
    bucket: &'static Bucket<Waits>,
    start: u64,
    rate: u64,
    place: Option<Place>,
    shown: Option<Shown<Waits>>,
    /// A trace has its begin: of what.
    traced: Option<usize>,
}

/// The caller is about to wait for `word`; for none, if it waits for something that nobody is charged for. `skip` of
/// its frames are left out of its stack. `None` if it is one of our own waits, or nothing is recorded.
///
/// The stack is taken now and not afterwards: then the thread has what it waited for, and others wait for it.
#[inline(never)]
pub(super) fn begin(word: Option<usize>, skip: usize) -> Option<Begun> {
    let (rate, fraction) = rates();
    if rate == 0 && fraction == 0 || !super::is_active() {
        return None;
    }
    if local::with(|local| local.waits_itself.get()) {
        return None;
    }
    let inside = Inside::enter()?;
    let mut frames = Frames::new();
    stack::capture(&mut frames, skip + 1);
    let bucket = BLOCK.get(key(&frames));
    let kind = bucket.and(word).and_then(|_| kind_of(&frames));
    let start = clock::ticks();
    let place = word
        .zip(kind)
        .and_then(|(word, kind)| table::arrive(word, moment(start), kind, sys::is_thread_local(word)));
    // Who waits for the end of a thread may be cancelled, and its stack unwound past us: a slot would stay taken.
    let shown =
        bucket.filter(|_| rate != 0).zip(word).and_then(|(bucket, _)| WAITING.show(bucket, start, rate));
    drop(inside);
    let bucket = bucket?;
    let traced = record::is_on().then_some(word.unwrap_or(0));
    if let Some(object) = traced {
        let class = if word.is_some() { Class::Futex } else { Class::Join };
        record::wait_begins(For { object, ..For::class(class) }, Some(bucket.key().stack));
    }
    Some(Begun { bucket, start, rate, place, shown, traced })
}

/// What an event on this thread goes by.
pub(super) fn key(frames: &Frames) -> Key {
    Key {
        stack: frames.intern(),
        labels: label::interned(),
        scope: local::with(|local| local.scopes().innermost()),
        what: 0,
        rate: 0,
    }
}

fn kind_of(frames: &Frames) -> Option<&'static Kind> {
    let addresses = frames.addresses();
    let leaf = &addresses[..addresses.len().min(KIND_FRAMES)];
    KINDS.get(Key {
        stack: Stack::intern(leaf, frames.epoch),
        labels: crate::store::Labels::none(),
        scope: None,
        what: 0,
        rate: 0,
    })
}

impl Begun {
    /// It is over; `waited` if it was a wait at all.
    pub(super) fn end(self, waited: bool) {
        let now = clock::ticks();
        if let Some(object) = self.traced {
            record::wait_ends(Class::Futex, object);
        }
        let left = self.place.and_then(Place::leave);
        let (mut from, mut is_charged) = (self.start, false);
        if let Some(left) = left
            && left.is_charged
        {
            (from, is_charged) = (table::ticks(left.from), true);
            chain::woken(left.from, left.woken_by);
        }
        let delay = clock::elapsed(self.start, now);
        let book = || {
            let was_shown = delay >= SHOWN;
            if self.rate == 0 || delay == 0 || !(waited || is_charged || was_shown) {
                return;
            }
            let probability = (delay as f64 / self.rate as f64).min(1.0);
            if happens(probability) {
                let weight = 1.0 / probability;
                let uncharged = clock::elapsed(from, now).min(delay);
                let value = self.bucket.value();
                value.count.fetch_add((weight * COUNT_SCALE) as u64, Release);
                value.delay.fetch_add((delay as f64 * weight) as u64, Release);
                value.uncharged.fetch_add((uncharged as f64 * weight) as u64, Relaxed);
            }
        };
        match self.shown {
            Some(shown) => shown.end(book),
            None => book(),
        }
    }

    /// In three words, for a frame that is none of Rust's.
    pub(super) fn pack(self) -> [u64; 3] {
        [std::ptr::from_ref(self.bucket).expose_provenance() as u64, self.start, self.rate]
    }

    /// What [`pack`](Self::pack) made.
    pub(super) fn unpack([bucket, start, rate]: [u64; 3]) -> Option<Begun> {
        let place = std::ptr::with_exposed_provenance_mut(bucket as usize);
        let bucket = super::known(&std::sync::atomic::AtomicPtr::new(place))?;
        // One that began without a trace has an end there that nobody minds.
        let traced = record::is_on().then_some(0);
        Some(Begun { bucket, start, rate, place: None, shown: None, traced })
    }
}
