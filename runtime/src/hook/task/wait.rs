#![expect(unsafe_code, reason = "holds the waker of whoever runs the future, and pointers to slots")]
//! One place where a future waits: the stack of polls down to a leaf, and the waker that this leaf keeps.
//!
//! It is held twice: by the future, until it is polled again, and by the clones of the waker. The wait is over when the
//! future is polled again, when somebody wakes it, or when the last clone is dropped, whatever comes first; then it is
//! booked, once.
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed,
    Ordering::Release,
};
use std::task::Waker;

use super::slot::{Task, here};
use crate::clock;
use crate::local::{self, Local, Scopes};
use crate::store::arena::Noted;
use crate::store::bucket::{Bucket, Buckets};
use crate::store::slab::{Slab, Slot};
use crate::trace::record;

const _: () = assert!(size_of::<Wait>() == 128);

/// Profiled futures inside the one that waits that are told where they wait.
pub(super) const INNER: usize = 4;

const LASTS: u32 = 0;
const BOOKING: u32 = 1;
const OVER: u32 = 2;

#[repr(align(128))]
pub(crate) struct Wait {
    /// The next free one; or the next one that the future waits for.
    link: AtomicPtr<Wait>,
    /// Uses so far, so that a reader knows whether it read one.
    uses: AtomicU32,
    /// `LASTS`, `BOOKING` or `OVER`.
    state: AtomicU32,
    /// The poll in which it began: its number, and the scope that it is.
    poll: AtomicU64,
    scopes: Noted<Scopes>,
    depth: AtomicU32,
    /// Of the waker.
    clones: AtomicU32,
    /// The future, and the clones together.
    holders: AtomicU32,
    /// How many it stands for.
    weight: AtomicU32,
    /// Of the future's slot.
    round: AtomicU32,
    task: Noted<Task>,
    bucket: Noted<Bucket>,
    /// Ticks.
    since: AtomicU64,
    /// The numbers of profiled futures inside, the outermost first, and how many frames of the stack are theirs in 16 bits
    /// below.
    inner: [AtomicU64; INNER],
    /// Whose waker it is in truth, as long as there are clones.
    waker: UnsafeCell<MaybeUninit<Waker>>,
}

// SAFETY: the waker is written before there is a clone, read by those that have one, and taken by the last.
unsafe impl Sync for Wait {}

impl Slot for Wait {
    const FREE: Wait = Wait {
        link: AtomicPtr::new(ptr::null_mut()),
        uses: AtomicU32::new(0),
        state: AtomicU32::new(OVER),
        poll: AtomicU64::new(0),
        scopes: Noted::new(),
        depth: AtomicU32::new(0),
        clones: AtomicU32::new(0),
        holders: AtomicU32::new(0),
        weight: AtomicU32::new(0),
        round: AtomicU32::new(0),
        task: Noted::new(),
        bucket: Noted::new(),
        since: AtomicU64::new(0),
        inner: [const { AtomicU64::new(0) }; INNER],
        waker: UnsafeCell::new(MaybeUninit::uninit()),
    };

    fn link(&self) -> &AtomicPtr<Wait> {
        &self.link
    }
}

pub(super) static WAITS: Slab<Wait> = Slab::new();
/// What was waited for, and for how long.
pub(super) static AWAITED: Buckets = Buckets::new();

/// A future inside the one that waits, and how many of the stack's frames are its own.
#[derive(Clone, Copy, Default)]
pub(super) struct Inner {
    pub(super) id: u64,
    pub(super) frames: usize,
}

const FRAME_BITS: u32 = 16;

impl Wait {
    /// `task`, which is polled at this depth of the thread's scopes, has begun to wait, since so many ticks, for as many as the
    /// weight says, with this waker; it is told by the caller. The waker comes back when memory is out.
    pub(super) fn begin(
        local: &Local,
        (task, depth): (&'static Task, usize),
        bucket: &'static Bucket,
        (since, weight): (u64, u32),
        inner: [Inner; INNER],
        waker: Waker,
    ) -> Result<&'static Wait, Waker> {
        let slot =
            if local::is_registered(local) { WAITS.take(&local.spare.waits) } else { WAITS.take_alone() };
        let Some(wait) = slot else { return Err(waker) };
        wait.poll.store(task.number_of_polls(), Relaxed);
        wait.scopes.set(local.thread().map(|thread| &thread.scopes));
        wait.depth.store(depth as u32, Relaxed);
        wait.clones.store(1, Relaxed);
        wait.holders.store(2, Relaxed);
        wait.weight.store(weight, Relaxed);
        wait.round.store(task.round(), Relaxed);
        wait.task.set(Some(task));
        wait.bucket.set(Some(bucket));
        for (place, inner) in wait.inner.iter().zip(inner) {
            place.store(inner.id << FRAME_BITS | inner.frames as u64, Relaxed);
        }
        // SAFETY: it is ours alone until the caller has a clone.
        unsafe { (*wait.waker.get()).write(waker) };
        wait.since.store(since, Relaxed);
        wait.uses.store(wait.uses.load(Relaxed).wrapping_add(1), Relaxed);
        wait.state.store(LASTS, Release);
        Ok(wait)
    }

    /// The next one that the same future waits for.
    pub(super) fn next(&self) -> &AtomicPtr<Wait> {
        &self.link
    }

    /// It is over, unless it was.
    fn end(&self, now: u64) {
        if self.state.load(Relaxed) != LASTS
            || self.state.compare_exchange(LASTS, BOOKING, AcqRel, Relaxed).is_err()
        {
            return;
        }
        if let Some(bucket) = self.bucket.get() {
            let weight = u64::from(self.weight.load(Relaxed));
            let delay = clock::elapsed(self.since.load(Relaxed), now);
            bucket.value().first.fetch_add(weight, Relaxed);
            bucket.value().second.fetch_add(delay.saturating_mul(weight), Relaxed);
        }
        self.state.store(OVER, Release);
    }

    /// # Safety
    /// There is a clone.
    unsafe fn waker(&self) -> &Waker {
        // SAFETY: it is there as long as there is a clone.
        unsafe { (*self.waker.get()).assume_init_ref() }
    }

    /// One more clone of the waker.
    pub(super) fn clone_waker(&self) {
        self.clones.fetch_add(1, Relaxed);
    }

    /// # Safety
    /// There is a clone, which the caller keeps.
    pub(super) unsafe fn wake(&self) {
        let now = clock::ticks();
        self.end(now);
        if let Some(task) = self.task.get() {
            task.woke(self.round.load(Relaxed), now);
            if record::is_on() {
                self.tell(task);
            }
        }
        // SAFETY: as above.
        unsafe { self.waker() }.wake_by_ref();
    }

    /// Somebody records.
    #[cold]
    #[inline(never)]
    fn tell(&self, task: &Task) {
        if task.round() == self.round.load(Relaxed) && task.site().is_some_and(|site| site.traced) {
            let stack = here();
            record::task_woken(task.id(), stack);
        }
    }

    /// # Safety
    /// There is a clone, which is gone from here on.
    pub(super) unsafe fn drop_waker(&'static self) {
        if self.clones.fetch_sub(1, AcqRel) != 1 {
            return;
        }
        if !self.is_in_its_poll() {
            self.end(clock::ticks());
        } else {
            // Kept and thrown away within one poll: nobody waited.
            _ = self.state.compare_exchange(LASTS, OVER, AcqRel, Relaxed);
        }
        // SAFETY: it was the last, so that nobody else reads it, and nobody drops it again.
        let waker = unsafe { (*self.waker.get()).assume_init_read() };
        self.release();
        // The program's code, with nothing of ours in hand.
        drop(waker);
    }

    fn release(&'static self) {
        if self.holders.fetch_sub(1, AcqRel) != 1 {
            return;
        }
        local::with(|local| {
            if local::is_registered(local) && local.locks.get() == 0 {
                WAITS.give(&local.spare.waits, self);
            } else {
                WAITS.give_alone(self);
            }
        });
    }

    /// Whether the poll lasts in which it began.
    fn is_in_its_poll(&self) -> bool {
        let (Some(task), Some(scopes)) = (self.task.get(), self.scopes.get()) else { return false };
        let depth = self.depth.load(Relaxed) as usize;
        scopes.depth.load(Relaxed) > depth
            && scopes.task(depth).is_some_and(|polled| ptr::eq(polled, task))
            && task.number_of_polls() == self.poll.load(Relaxed)
            && task.round() == self.round.load(Relaxed)
    }

    /// Whether it is still this use, and lasts or is being booked.
    fn state_of(&self, uses: u32) -> u32 {
        let state = self.state.load(Acquire);
        if self.uses.load(Relaxed) == uses { state } else { OVER }
    }
}

/// The future is polled again at `now`: it waits for none of these any more.
pub(super) fn resumed(mut first: *const Wait, now: u64) {
    // SAFETY: the list is the future's, which holds every one in it, until here.
    while let Some(wait) = unsafe { first.as_ref() } {
        first = wait.link.load(Relaxed);
        wait.end(now);
        wait.release();
    }
}

/// A wait as a reader met it.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    wait: &'static Wait,
    uses: u32,
    pub(super) bucket: &'static Bucket,
    pub(super) since: u64,
    pub(super) lasts: bool,
    weight: u32,
    pub(super) inner: [Inner; INNER],
}

/// Waits of one future that are looked at.
const MOST: usize = 64;

/// Those from `first` on, the earliest first. The caller has to find out whether all of them were of one future, at one
/// time.
pub(super) fn list(mut first: *const Wait) -> Vec<Seen> {
    let mut found = Vec::new();
    while found.len() < MOST {
        // SAFETY: what is linked are slots, which live for ever.
        let Some(wait) = (unsafe { first.as_ref() }) else { break };
        let Some(bucket) = wait.bucket.get() else { break };
        found.push(Seen {
            wait,
            uses: wait.uses.load(Relaxed),
            bucket,
            since: wait.since.load(Relaxed),
            lasts: wait.state.load(Acquire) == LASTS,
            weight: wait.weight.load(Relaxed),
            inner: std::array::from_fn(|at| {
                let word = wait.inner[at].load(Relaxed);
                Inner { id: word >> FRAME_BITS, frames: (word & ((1 << FRAME_BITS) - 1)) as usize }
            }),
        });
        first = wait.link.load(Relaxed);
    }
    found.reverse();
    found
}

/// How often a reader looks again before it takes what it has.
const LOOKS: usize = 1000;

/// What a bucket's row comes to: waits and nanoseconds, with those of `waits` that still last. Totals only grow: a wait that
/// ends meanwhile is in one of the two.
pub(super) fn values(bucket: &'static Bucket, waits: &[&Seen], now: u64) -> [u64; 2] {
    let booked = || [&bucket.value().first, &bucket.value().second].map(|value| value.load(Acquire));
    let mut before = None;
    for _ in 0..LOOKS {
        let booked = booked();
        let (mut lasting, mut booking) = ([0; 2], false);
        for seen in waits {
            match seen.wait.state_of(seen.uses) {
                LASTS => {
                    let weight = u64::from(seen.weight);
                    let delay = clock::elapsed(seen.since, now);
                    lasting = [lasting[0] + weight, lasting[1] + weight * delay];
                }
                BOOKING => booking = true,
                _ => {}
            }
        }
        if waits.is_empty() || !booking && before == Some(lasting) {
            return [booked[0] + lasting[0], booked[1] + lasting[1]];
        }
        if booking {
            std::thread::yield_now();
        }
        before = (!booking).then_some(lasting);
    }
    booked()
}
