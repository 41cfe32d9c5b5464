#![expect(unsafe_code, reason = "projects a pin to the future inside, and has two pointers in one word")]
//! `#[profiled]` on an async function: the scope, poll by poll.
//!
//! A future counts as one call, at its first poll, in the chain of scopes that it is polled in then. It is a scope of
//! whatever thread polls it for the length of that poll, and its wall time, if this call is timed, runs from the first
//! poll to its end, waiting included. Apart from that each poll is counted, and now and then one is timed, whatever future
//! of this function it is: what they take together is how long the function was busy, with what it polls itself.
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::thread;

use super::function::{self, Start, count, pop, push};
use crate::local::{self, Local};
use crate::site::FunctionSite;
use crate::store::bucket::{Bucket, Calls};

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
}

/// The site, or, once a timed call began, where that is counted, which knows the site: in one word, as futures are to
/// stay small. Both are aligned, so that a bit is free to tell.
struct Origin(AtomicPtr<()>);

const IS_BUCKET: usize = 1;

impl Origin {
    #[inline(always)]
    fn site(site: &'static FunctionSite) -> Origin {
        Origin(AtomicPtr::new(std::ptr::from_ref(site).cast_mut().cast()))
    }

    /// `bucket` has to be one of a site.
    fn bucket(bucket: &'static Bucket<Calls>) -> Origin {
        let pointer = std::ptr::from_ref(bucket).cast_mut().cast::<()>();
        Origin(AtomicPtr::new(pointer.map_addr(|address| address | IS_BUCKET)))
    }

    #[inline(always)]
    fn get(&self) -> (&'static FunctionSite, Option<&'static Bucket<Calls>>) {
        let pointer = self.0.load(Relaxed);
        if pointer.addr() & IS_BUCKET == 0 {
            // SAFETY: without the bit it is a site, which is a static.
            return (unsafe { &*pointer.cast() }, None);
        }
        let pointer = pointer.map_addr(|address| address & !IS_BUCKET);
        // SAFETY: with the bit it is a bucket, which lives for ever, and of a site: `begin` looks.
        unsafe {
            let bucket: &'static Bucket<Calls> = &*pointer.cast();
            (bucket.key().scope.unwrap_unchecked(), Some(bucket))
        }
    }
}

/// A value of the type that an asynchronous function returns, in code that never runs.
#[doc(hidden)]
pub fn never<T>() -> T {
    loop {
        std::hint::spin_loop();
    }
}

/// The scope of one poll; a panic leaves it too.
struct Leave {
    site: &'static FunctionSite,
    depth: usize,
    poll: Start,
}

impl Drop for Leave {
    #[inline(always)]
    fn drop(&mut self) {
        let rare = self.poll != Start::UNTIMED || thread::panicking();
        let depth =
            if rare { function::leave_poll_rarely(self.site, self.poll, self.depth) } else { self.depth };
        local::with(|local| pop(local, depth));
    }
}

impl<F: Future> Future for Polled<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned whenever we are and never moved out; the other fields are plain values.
        let this = unsafe { self.get_unchecked_mut() };
        let (site, _) = this.origin.get();
        if this.start == Start::NOT_YET {
            this.start = begin(site, &mut this.origin);
        }
        let (poll, depth) = function::enter_poll(site);
        let leave = Leave { site, depth, poll };
        // SAFETY: as above.
        let polled = unsafe { Pin::new_unchecked(&mut this.future) }.poll(cx);
        if polled.is_ready() {
            ended(site, std::mem::replace(&mut this.start, Start::OVER), this.origin.get().1);
        }
        drop(leave);
        polled
    }
}

/// Counts a future that is polled for the first time.
#[inline(never)]
fn begin(site: &'static FunctionSite, origin: &mut Origin) -> Start {
    let (start, bucket) = local::with(|local| {
        // The counter of ends has to have an id before anybody asks how many are in flight.
        for id in [&site.ended, &site.polls] {
            if id.load(Relaxed) == 0 {
                local.enter(|| local::site_id(id));
            }
        }
        let start = count(local, site);
        (start, if start.is_timed() { function::noted_next(local) } else { None })
    });
    if let Some(bucket) = bucket.filter(|bucket| bucket.key().scope.is_some()) {
        *origin = Origin::bucket(bucket);
    }
    start
}

/// Counts the end, and books it if the call is timed. The scope is still the innermost one.
#[inline(never)]
fn ended(site: &'static FunctionSite, start: Start, bucket: Option<&'static Bucket<Calls>>) {
    local::with(|local| {
        count_one(local, &site.ended);
        if start.is_timed() {
            function::book(local, site, start, bucket);
        }
    });
}

fn count_one(local: &Local, id: &AtomicU32) {
    match local.counter(id.load(Relaxed)) {
        Some(counter) => counter.add(),
        None => {
            if let Some(counter) = local::first_event(local, id) {
                counter.add();
            }
        }
    }
}

impl<F> Drop for Polled<F> {
    /// A future that is dropped before its end was cancelled: its time counts up to here.
    #[inline]
    fn drop(&mut self) {
        if self.start != Start::NOT_YET && self.start != Start::OVER {
            let (site, bucket) = self.origin.get();
            let depth = local::with(|local| push(local, site));
            ended(site, self.start, bucket);
            local::with(|local| pop(local, depth));
        }
    }
}

impl<F> fmt::Debug for Polled<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polled").field("site", &self.origin.get().0.place).finish_non_exhaustive()
    }
}
