#![expect(unsafe_code, reason = "projects a pin to the future inside")]
//! `#[profiled]` on an async function: the scope, poll by poll.
//!
//! A future counts as one call, at its first poll. It is a scope of whatever thread polls it for the length of that
//! poll, and its wall time, if this call is timed, runs from the first poll to its end, waiting included.
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use super::function::{Start, book, count, pop, push};
use crate::local::{self, Local};
use crate::site::FunctionSite;

/// The body of an annotated async function. It adds two words to the future.
#[doc(hidden)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Polled<F> {
    site: &'static FunctionSite,
    start: Start,
    future: F,
}

impl<F> Polled<F> {
    /// What the attribute wraps the body with.
    #[inline(always)]
    pub fn new(site: &'static FunctionSite, future: F) -> Polled<F> {
        Polled { site, start: Start::NOT_YET, future }
    }
}

/// The scope of one poll; a panic leaves it too.
struct Leave(usize);

impl Drop for Leave {
    #[inline(always)]
    fn drop(&mut self) {
        local::with(|local| pop(local, self.0));
    }
}

impl<F: Future> Future for Polled<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned whenever we are and never moved out; the other fields are plain values.
        let this = unsafe { self.get_unchecked_mut() };
        let site = this.site;
        let leave = local::with(|local| {
            if this.start == Start::NOT_YET {
                this.start = begin(local, site);
            }
            Leave(push(local, site))
        });
        // SAFETY: as above.
        let polled = unsafe { Pin::new_unchecked(&mut this.future) }.poll(cx);
        if polled.is_ready() {
            ended(this.site, std::mem::replace(&mut this.start, Start::OVER));
        }
        drop(leave);
        polled
    }
}

/// Counts a future that is polled for the first time.
#[inline(never)]
fn begin(local: &Local, site: &'static FunctionSite) -> Start {
    // The counter of ends has to have an id before anybody asks how many are in flight.
    if site.ended.load(Relaxed) == 0 {
        local.enter(|| local::site_id(&site.ended));
    }
    count(local, site)
}

/// Counts the end, and books it if the call is timed. The scope is still the innermost one.
#[inline(never)]
fn ended(site: &'static FunctionSite, start: Start) {
    local::with(|local| {
        match local.counter(site.ended.load(Relaxed)) {
            Some(counter) => counter.add(),
            None => {
                if let Some(counter) = local::first_event(local, &site.ended) {
                    counter.add();
                }
            }
        }
        if start.is_timed() {
            book(local, site, start);
        }
    });
}

impl<F> Drop for Polled<F> {
    /// A future that is dropped before its end was cancelled: its time counts up to here.
    #[inline]
    fn drop(&mut self) {
        if self.start != Start::NOT_YET && self.start != Start::OVER {
            let leave = local::with(|local| Leave(push(local, self.site)));
            ended(self.site, self.start);
            drop(leave);
        }
    }
}

impl<F> fmt::Debug for Polled<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polled").field("site", &self.site.place).finish_non_exhaustive()
    }
}
