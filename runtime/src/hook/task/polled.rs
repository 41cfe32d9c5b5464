#![expect(unsafe_code, reason = "projects a pin to the future inside, and has two pointers in one word")]
//! `#[profiled]` on an async function: the scope, poll by poll.
//!
//! A future counts as one call, at its first poll, in the chain of scopes that it is polled in then. It is a scope of
//! whatever thread polls it for the length of that poll, and its wall time, if this call is timed, runs from the first
//! poll to its end, waiting included. Apart from that each poll is counted, and now and then one is timed, whatever future
//! of this function it is: what they take together is how long the function was busy, with what it polls itself.
use std::fmt;
use std::mem::MaybeUninit;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

use super::park::{self, Polling};
use super::slot::Task;
use crate::hook::function::{self, Start, count, pop, push, push_task, push_task_anyhow};
use crate::local::{self, Local};
use crate::site::FunctionSite;
use crate::store::bucket::{Bucket, Calls};
use crate::trace::{polls, record};

/// The body of an annotated async function. It adds two words to the future.
#[doc(hidden)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Polled<F> {
    origin: Origin,
    start: Start,
    future: F,
}

impl<F> Polled<F> {
    /// What the attribute wraps the body with.
    #[inline(always)]
    pub fn new(site: &'static FunctionSite, future: F) -> Polled<F> {
        Polled { origin: Origin::site(site), start: Start::NOT_YET, future }
    }

    /// A future that is known from here on, before it is polled: made at `maker`.
    pub(super) fn known(
        site: &'static FunctionSite,
        maker: &'static Location<'static>,
        future: F,
    ) -> Polled<F> {
        let mut origin = Origin::site(site);
        local::with(|local| {
            if let Some(task) = Task::begin(local, site, Some(maker)) {
                origin.set_task(task);
            }
        });
        Polled { origin, start: Start::NOT_YET, future }
    }
}

/// The site, or, once the future is known, its slot, which knows the site. A future that found no slot, and whose call is
/// timed, has where that is counted. All in one word, as futures are to stay small: they are aligned, so that three bits
/// are free to tell.
struct Origin(AtomicPtr<()>);

const IS_BUCKET: usize = 1;
const IS_TASK: usize = 2;
/// With the one before: it was polled before, so that a poll has nothing to do but what each has.
const BEGUN: usize = 4;
const _: () =
    assert!(align_of::<FunctionSite>() >= 8 && align_of::<Bucket<Calls>>() >= 8 && align_of::<Task>() >= 8);

impl Origin {
    #[inline(always)]
    fn site(site: &'static FunctionSite) -> Origin {
        Origin(AtomicPtr::new(std::ptr::from_ref(site).cast_mut().cast()))
    }

    /// `bucket` has to be one of a site.
    fn set_bucket(&mut self, bucket: &'static Bucket<Calls>) {
        *self.0.get_mut() = tagged(bucket, IS_BUCKET);
    }

    fn set_task(&mut self, task: &'static Task) {
        *self.0.get_mut() = tagged(task, IS_TASK);
    }

    fn set_begun(&mut self, task: &'static Task) {
        *self.0.get_mut() = tagged(task, IS_TASK | BEGUN);
    }

    /// What `f` makes of the slot of a future that was polled before. The slot is not given as an `Option`: that would be
    /// asked for null.
    #[inline(always)]
    fn if_begun<R>(&self, f: impl FnOnce(&'static Task) -> Option<R>) -> Option<R> {
        let pointer = self.0.load(Relaxed);
        if pointer.addr() & BEGUN == 0 {
            return None;
        }
        // SAFETY: with this bit it is a slot, which lives for ever, and has the other bit.
        f(unsafe { &*pointer.map_addr(|address| address - (IS_TASK | BEGUN)).cast() })
    }

    #[inline(always)]
    fn task(&self) -> Option<&'static Task> {
        let pointer = self.0.load(Relaxed);
        // SAFETY: with this bit it is a slot, which lives for ever.
        (pointer.addr() & IS_TASK != 0).then(|| unsafe { &*untagged(pointer).cast() })
    }

    fn get(&self) -> (&'static FunctionSite, Option<&'static Bucket<Calls>>) {
        if let Some(task) = self.task() {
            // SAFETY: a slot that is ours has the site that we gave it.
            return (unsafe { task.site().unwrap_unchecked() }, task.bucket.get());
        }
        let pointer = self.0.load(Relaxed);
        if pointer.addr() & IS_BUCKET == 0 {
            // SAFETY: without a bit it is a site, which is a static.
            return (unsafe { &*pointer.cast() }, None);
        }
        // SAFETY: with the bit it is a bucket, which lives for ever, and of a site: `begin` looks.
        unsafe {
            let bucket: &'static Bucket<Calls> = &*untagged(pointer).cast();
            (bucket.key().scope.unwrap_unchecked(), Some(bucket))
        }
    }
}

fn tagged<T>(to: &'static T, bit: usize) -> *mut () {
    std::ptr::from_ref(to).cast_mut().cast::<()>().map_addr(|address| address | bit)
}

#[inline(always)]
fn untagged(pointer: *mut ()) -> *mut () {
    pointer.map_addr(|address| address & !(IS_BUCKET | IS_TASK | BEGUN))
}

/// A value of the type that an asynchronous function returns, in code that never runs.
#[doc(hidden)]
pub fn never<T>() -> T {
    loop {
        std::hint::spin_loop();
    }
}

/// The depth of a poll's scope, and a bit that tells whether more is to be done at its end than that takes: it is timed, or
/// traced, or the future has no slot.
#[derive(Clone, Copy)]
struct Depth(usize);

impl Depth {
    const RARE: usize = 1 << (usize::BITS - 1);

    #[inline(always)]
    fn is_rare(self) -> bool {
        self.0 & Depth::RARE != 0
    }
}

/// The scope of one poll.
struct Leave<'a> {
    origin: &'a Origin,
    depth: Depth,
    /// When it began, if it is timed, and whether a trace has that. Only where the depth says so.
    poll: &'a MaybeUninit<Start>,
}

impl Drop for Leave<'_> {
    /// Only for a panic, which began inside.
    #[inline(always)]
    fn drop(&mut self) {
        panicked(self.origin, self.depth, self.poll);
    }
}

#[cold]
#[inline(never)]
fn panicked(origin: &Origin, depth: Depth, poll: &MaybeUninit<Start>) {
    if depth.is_rare() {
        // SAFETY: as the depth says.
        book(origin, unsafe { poll.assume_init() }, false);
    }
    function::panicked(origin.get().0);
    leave(depth);
}

#[inline(always)]
fn leave(depth: Depth) {
    local::with(|local| pop(local, depth.0 & !Depth::RARE));
}

/// A poll's time is over.
#[cold]
#[inline(never)]
fn book(origin: &Origin, poll: Start, ready: bool) {
    if poll.is_timed() {
        let busy = function::end_poll(origin.get().0, poll);
        if let Some(task) = origin.task() {
            task.add_busy(busy);
        }
    }
    if poll.is_traced() {
        record::poll_ends(ready);
    }
}

impl<F: Future> Future for Polled<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned whenever we are and never moved out; the other fields are plain values.
        let this = unsafe { self.get_unchecked_mut() };
        // In the frame of this poll, whose end walks of the stack find by it.
        let mut mark = MaybeUninit::<Polling<'_>>::uninit();
        let asked = polls::word();
        let (own, mut context);
        let wraps = park::is_wanted(asked, cx.waker());
        let cx = if wraps {
            own = mark.write(Polling::new(cx.waker())).waker();
            // SAFETY: it outlives the poll below, and whoever is polled may not keep it for longer than that: it is to
            // work for any lifetime.
            let waker: &Waker = unsafe { &*std::ptr::from_ref::<Waker>(&own) };
            context = Context::from_waker(waker);
            &mut context
        } else {
            cx
        };
        let mut poll = MaybeUninit::uninit();
        let quickly = if polls::is_rare(asked) { None } else { enter(&this.origin, mark.as_ptr().addr()) };
        let depth = match quickly {
            Some((depth, false)) => Depth(depth),
            Some((depth, true)) => entered(&this.origin, depth, &mut poll),
            None => enter_rarely(&mut this.origin, &mut this.start, mark.as_ptr().addr(), &mut poll),
        };
        // The last of all, and its end the first: what is timed is the program's.
        let scope = Leave { origin: &this.origin, depth, poll: &poll };
        // SAFETY: as above.
        let polled = unsafe { Pin::new_unchecked(&mut this.future) }.poll(cx);
        std::mem::forget(scope);
        // Nothing but the value is needed after what is rare: so there are no registers to save for more.
        match polled {
            Poll::Pending if depth.is_rare() => {
                leave_rarely(&this.origin, depth, &poll, false);
                Poll::Pending
            }
            Poll::Pending => {
                local::with(|local| pop(local, depth.0));
                Poll::Pending
            }
            Poll::Ready(value) => {
                ready(&this.origin, &mut this.start, depth, &poll);
                Poll::Ready(value)
            }
        }
    }
}

/// The end of a poll that is timed, or traced, or of a future that has no slot.
#[cold]
#[inline(never)]
fn leave_rarely(origin: &Origin, depth: Depth, poll: &MaybeUninit<Start>, ready: bool) {
    // SAFETY: as the depth says.
    book(origin, unsafe { poll.assume_init() }, ready);
    leave(depth);
}

/// The end of the last poll.
#[inline(never)]
fn ready(origin: &Origin, start: &mut Start, depth: Depth, poll: &MaybeUninit<Start>) {
    if depth.is_rare() {
        // SAFETY: as the depth says.
        book(origin, unsafe { poll.assume_init() }, true);
    }
    let (site, bucket) = origin.get();
    ended(site, std::mem::replace(start, Start::OVER), bucket);
    leave(depth);
}

/// A poll begins, in a frame that holds the address `mark`: the depth of its scope, and whether it is to be timed. `None` where
/// more is to be done than every poll does.
#[inline(always)]
fn enter(origin: &Origin, mark: usize) -> Option<(usize, bool)> {
    origin.if_begun(|task| {
        let depth = local::with(|local| push_task(local, task, mark))?;
        Some((depth, task.polls.add_and_test()))
    })
}

/// The first poll, one that is traced, one where no scope is noted, or any in a forked child.
#[cold]
#[inline(never)]
fn enter_rarely(origin: &mut Origin, start: &mut Start, mark: usize, poll: &mut MaybeUninit<Start>) -> Depth {
    if *start == Start::NOT_YET {
        *start = begin(origin);
    }
    let Some(task) = origin.task() else {
        poll.write(Start::UNTIMED);
        return Depth(enter_unknown(origin) | Depth::RARE);
    };
    task.adopt();
    let is_timed = task.polls.add_and_test() && task.resumes_timed();
    let depth = local::with(|local| push_task_anyhow(local, task, mark));
    if is_timed || record::is_on() { begin_poll(origin, depth, is_timed, poll) } else { Depth(depth) }
}

/// A poll has begun that is timed, or follows a wait.
#[cold]
#[inline(never)]
fn entered(origin: &Origin, depth: usize, poll: &mut MaybeUninit<Start>) -> Depth {
    let is_timed = origin.task().is_some_and(Task::resumes_timed);
    if is_timed { begin_poll(origin, depth, true, poll) } else { Depth(depth) }
}

/// A poll begins that is timed, or traced.
#[cold]
#[inline(never)]
fn begin_poll(origin: &Origin, depth: usize, is_timed: bool, poll: &mut MaybeUninit<Start>) -> Depth {
    let (site, _) = origin.get();
    let begun = origin.task().map_or(Start::UNTIMED, |task| {
        let traced = record::is_on() && site.traced;
        if traced {
            record::poll_begins(task.id(), site);
        }
        let begun = if is_timed { function::begin_poll(site, &task.polls) } else { Start::UNTIMED };
        if traced { begun.traced() } else { begun }
    });
    poll.write(begun);
    Depth(depth | Depth::RARE)
}

/// The same of one that found no slot: its polls are not counted.
fn enter_unknown(origin: &Origin) -> usize {
    let (site, _) = origin.get();
    local::with(|local| push(local, site))
}

/// Counts a future that is polled for the first time, and finds it a slot.
fn begin(origin: &mut Origin) -> Start {
    let known = origin.task();
    let (site, _) = origin.get();
    let (start, bucket) = local::with(|local| {
        // The counters of ends and polls have to have ids before anybody asks how many are in flight.
        for id in [&site.ended, &site.polls] {
            if id.load(Relaxed) == 0 {
                local.enter(|| local::site_id(id));
            }
        }
        let start = count(local, site);
        (start, if start.is_timed() { function::noted_next(local) } else { None })
    });
    let bucket = bucket.filter(|bucket| bucket.key().scope.is_some());
    local::with(|local| {
        if let Some(task) = known {
            task.polled_first(local);
        }
        match known.or_else(|| Task::begin(local, site, None)) {
            Some(task) => {
                task.bucket.set(bucket);
                function::draw_polls(site, &task.polls);
                origin.set_begun(task);
            }
            None => {
                if let Some(bucket) = bucket {
                    origin.set_bucket(bucket);
                }
            }
        }
    });
    start
}

/// Counts the end, and books it if the call is timed. The scope is still the innermost one.
#[inline(never)]
fn ended(site: &'static FunctionSite, start: Start, bucket: Option<&'static Bucket<Calls>>) {
    local::with(|local| {
        count_some(local, &site.ended, 1);
        if start.is_timed() {
            function::book(local, site, start, bucket);
        }
    });
}

fn count_some(local: &Local, id: &AtomicU32, count: u64) {
    match local.counter(id.load(Relaxed)) {
        Some(counter) => counter.add_many(count),
        None if count > 0 => {
            if let Some(counter) = local::first_event(local, id) {
                counter.add_many(count);
            }
        }
        None => {}
    }
}

impl<F> Drop for Polled<F> {
    /// A future that is dropped before its end was cancelled: its time counts up to here.
    #[inline]
    fn drop(&mut self) {
        if self.start != Start::NOT_YET || self.origin.task().is_some() {
            gone(&self.origin, self.start);
        }
    }
}

#[inline(never)]
fn gone(origin: &Origin, start: Start) {
    let (site, bucket) = origin.get();
    if start != Start::NOT_YET && start != Start::OVER {
        let depth = local::with(|local| push(local, site));
        ended(site, start, bucket);
        local::with(|local| pop(local, depth));
    }
    if let Some(task) = origin.task() {
        local::with(|local| {
            count_some(local, &site.polls, task.polls.total());
            if record::is_on() && site.traced {
                record::task_ends(task.id(), start != Start::OVER);
            }
            task.end(local);
        });
    }
}

impl<F> fmt::Debug for Polled<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polled").field("site", &self.origin.get().0.place).finish_non_exhaustive()
    }
}
