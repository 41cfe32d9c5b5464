#![expect(unsafe_code, reason = "wakers are tables of functions on raw pointers")]
//! Where a future waits: seen by the waker that it is polled with.
//!
//! A leaf that is about to wait clones the waker, and at that moment everything between it and whoever runs the future is
//! on the stack, each function at the line of its `.await`. So the outermost profiled future of a task polls what is in it
//! with a waker of ours, which forwards to the one it got; its clones are [`Wait`]s. A combinator that polls its children
//! with wakers of its own ends what we see; a profiled child begins anew.
//!
//! Every clone has an address of its own. So no leaf thinks that the waker it kept is the one it is polled with: it clones
//! again each time that it waits, which is what keeps the line true.
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::slot::Task;
use super::wait::{AWAITED, INNER, Inner, Wait};
use crate::local::{self, Inside, Local, MAX_SCOPES, Scopes};
use crate::stack::{self, Frames};
use crate::store::Labels;
use crate::store::bucket::Key;
use crate::trace::event::Class;
use crate::trace::{polls, record};
use crate::{clock, label};

/// Whether profiled futures note where they wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stacks {
    /// Never.
    Off,
    /// As long as that takes no more than about one per cent of a core; beyond it one suspension in so many, which counts
    /// for as many. The default.
    Auto,
    /// At every suspension.
    All,
}

const AUTO: u8 = 0;
const ALL: u8 = 1;
const OFF: u8 = 2;

/// Chooses whether profiled futures note where they wait, from their next poll on. Returns what was chosen before.
///
/// With it the outermost profiled future of a task is polled with a waker of its own. An executor that takes the wakers
/// of its tasks apart, as some for microcontrollers do, needs [`Stacks::Off`].
pub fn set_stacks(stacks: Stacks) -> Stacks {
    let mode = match stacks {
        Stacks::Off => OFF,
        Stacks::Auto => AUTO,
        Stacks::All => ALL,
    };
    match polls::swap(mode) {
        OFF => Stacks::Off,
        AUTO => Stacks::Auto,
        _ => Stacks::All,
    }
}

/// Whether a future that is polled with `waker` is to poll with one of ours, by what stands in the word that polls ask.
#[inline(always)]
pub(super) fn is_wanted(asked: u32, waker: &Waker) -> bool {
    asked & u32::from(OFF) == 0 && !ptr::eq(waker.vtable(), &POLLING)
}

/// What the waker points to that a future is polled with, for as long as the poll lasts. Its place is the mark that the poll's
/// scope has: so whoever clones the waker on the thread that polls finds the scope.
pub(super) struct Polling<'a> {
    waker: &'a Waker,
}

impl<'a> Polling<'a> {
    #[inline(always)]
    pub(super) fn new(waker: &'a Waker) -> Polling<'a> {
        Polling { waker }
    }

    /// The waker to poll with, as long as `self` stays where it is.
    #[inline(always)]
    pub(super) fn waker(&self) -> ManuallyDrop<Waker> {
        // SAFETY: the functions of the table take a `Polling`. What is dropped is nothing.
        unsafe { ManuallyDrop::new(Waker::new(ptr::from_ref(self).cast(), &POLLING)) }
    }

    /// The scope of its poll and the future, if this is the thread that polls.
    fn depth(&self, scopes: &Scopes) -> Option<(usize, &'static Task)> {
        let noted = scopes.depth.load(Relaxed).min(MAX_SCOPES);
        let mark = ptr::from_ref(self).addr() as u64;
        let of_mine = |at| scopes.task(at).filter(|_| scopes.mark(at) == mark).map(|task| (at, task));
        (0..noted).rev().find_map(of_mine)
    }
}

fn mode() -> u8 {
    polls::word() as u8
}

static POLLING: RawWakerVTable = RawWakerVTable::new(clone_polling, wake_polling, wake_polling, |_| ());
static WAITING: RawWakerVTable = RawWakerVTable::new(clone_wait, wake_wait, wake_wait_by_ref, drop_wait);

/// # Safety
/// `data` is a [`Polling`] whose poll lasts.
unsafe fn clone_polling(data: *const ()) -> RawWaker {
    // SAFETY: as promised. Wakers may be cloned on any thread: only fields that never change are read on another.
    let polling = unsafe { &*data.cast::<Polling<'_>>() };
    let wait = local::with(|local| {
        if local.inside.get() || local.locks.get() > 0 {
            return None;
        }
        let (depth, task) = polling.depth(local.scopes())?;
        let weight = task.weight(|| draw(local));
        if weight > 0 { suspend(local, polling, (depth, task), weight) } else { None }
    });
    stack::stay();
    match wait {
        Some(wait) => RawWaker::new(ptr::from_ref(wait).cast(), &WAITING),
        None => into_raw(polling.waker.clone()),
    }
}

fn into_raw(waker: Waker) -> RawWaker {
    let waker = ManuallyDrop::new(waker);
    RawWaker::new(waker.data(), waker.vtable())
}

/// # Safety
/// As [`clone_polling`].
unsafe fn wake_polling(data: *const ()) {
    // SAFETY: as promised. The waker is shared by all threads.
    unsafe { &*data.cast::<Polling<'_>>() }.waker.wake_by_ref();
}

/// # Safety
/// `data` is a [`Wait`] with a clone, here and below.
unsafe fn clone_wait(data: *const ()) -> RawWaker {
    // SAFETY: as promised.
    unsafe { &*data.cast::<Wait>() }.clone_waker();
    RawWaker::new(data, &WAITING)
}

unsafe fn wake_wait(data: *const ()) {
    // SAFETY: as promised; this was the clone.
    unsafe {
        wake_wait_by_ref(data);
        drop_wait(data);
    }
}

unsafe fn wake_wait_by_ref(data: *const ()) {
    // SAFETY: as promised.
    unsafe { (*data.cast::<Wait>()).wake() }
}

unsafe fn drop_wait(data: *const ()) {
    // SAFETY: as promised, and waits are slots, which live for ever.
    unsafe { (&*data.cast::<Wait>()).drop_waker() }
}

/// Notes that the future is about to wait, at the stack between here and its poll.
#[inline(never)]
fn suspend(
    local: &Local,
    polling: &Polling<'_>,
    (depth, task): (usize, &'static Task),
    weight: u32,
) -> Option<&'static Wait> {
    // What follows is waited, too.
    let since = clock::ticks();
    // The program's code, and so before anything of ours.
    let waker = polling.waker.clone();
    let mut frames = Frames::new();
    let mut inner = [Inner::default(); INNER];
    let bucket = {
        // A closure of ours would be a frame.
        let _inside = Inside::enter()?;
        stack::capture_below(&mut frames, ptr::from_ref(polling).addr() as u64);
        let scopes = local.scopes();
        let noted = scopes.depth.load(Relaxed).min(MAX_SCOPES);
        // The profiled futures inside, and which of the frames are theirs.
        let mut room = inner.iter_mut();
        for at in depth + 1..noted {
            let Some(inside) = scopes.task(at) else { continue };
            let Some(place) = room.next() else { break };
            let mut own = Frames::new();
            stack::capture_below(&mut own, scopes.mark(at));
            *place = Inner { id: inside.id(), frames: own.len as usize };
        }
        stack::stay();
        let scope = scopes.innermost();
        AWAITED.get(Key { stack: frames.intern(), labels: labels(), scope, what: 0, rate: 0 })?
    };
    if record::is_on() && task.site().is_some_and(|site| site.traced) {
        record::awaits(task.id(), Class::Await, Some(bucket.key().stack));
    }
    let wait = Wait::begin(local, (task, depth), bucket, (since, weight), inner, waker).ok()?;
    task.waits_for(wait);
    Some(wait)
}

/// The labels in force. They are kept apart by their sets only as long as there is ample room for those: every suspension
/// comes here, and what comes by chance, such as samples of the CPU, is to find room still.
fn labels() -> Labels {
    Labels::intern_if_ample(label::encoded())
}

/// What one suspension costs, roughly, in nanoseconds.
const COST: u64 = 700;
/// How often the budget is looked at.
const WINDOW: u64 = 100_000_000;
/// Suspensions in one window that take one per cent of a core.
const BUDGET: u64 = WINDOW / 100 / COST;
/// The logarithm of the greatest weight.
const LONGEST: u32 = 20;

/// The logarithm of how many suspensions one stands for.
static LOG: AtomicU32 = AtomicU32::new(0);
static BEGAN: AtomicU64 = AtomicU64::new(0);
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// The weight of a suspension that begins now, or 0.
fn draw(local: &Local) -> u32 {
    if mode() == ALL {
        return 1;
    }
    let log = LOG.load(Relaxed);
    if log > 0 && !local.random(|random| random.next() >> (64 - log) == 0) {
        return 0;
    }
    let taken = TAKEN.fetch_add(1, Relaxed) + 1;
    // Not at every one of them: reading the clock is the less of it.
    if taken > BUDGET || taken.is_multiple_of(64) || log > 0 {
        adapt(taken);
    }
    1 << log
}

/// Doubles or halves the weight when more or less is taken than the budget has room for.
fn adapt(taken: u64) {
    let (began, now) = (BEGAN.load(Relaxed), clock::ticks());
    let elapsed = clock::elapsed(began, now);
    if taken <= BUDGET && elapsed < WINDOW {
        return;
    }
    // Whoever is first.
    if BEGAN.compare_exchange(began, now, Relaxed, Relaxed).is_err() {
        return;
    }
    TAKEN.store(0, Relaxed);
    let log = LOG.load(Relaxed);
    if elapsed < WINDOW {
        LOG.store((log + 1).min(LONGEST), Relaxed);
    } else {
        // Each halving lets in twice as many.
        let room = BUDGET.saturating_mul(elapsed / WINDOW) / taken.max(1);
        LOG.store(log.saturating_sub(room.max(1).ilog2()), Relaxed);
    }
}

/// For whoever asks: one suspension in how many is looked at, or 0 if none is.
pub(super) fn one_in() -> u64 {
    match mode() {
        OFF => 0,
        ALL => 1,
        _ => 1 << LOG.load(Relaxed),
    }
}
