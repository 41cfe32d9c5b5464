//! What a timed call reads although its function does nothing: the way from one look at the clock to the other.
//!
//! It is measured by the hook's own steps around nothing, and taken off each timed call. What a short function shows is
//! then its own time.
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Start, pop_to, push_on};
use crate::clock;
use crate::local::{Place, Scopes};
use crate::site::{FunctionSite, Name};

const UNKNOWN: u64 = u64::MAX;
static TICKS: AtomicU64 = AtomicU64::new(UNKNOWN);

/// Timed calls in a measurement, and calls before each that are not timed: the processor then expects none, as in a
/// program, and what it loses by that is measured, too.
const ROUNDS: usize = 63;
const BETWEEN: u32 = 48;

/// In ticks. Ordinary code; takes some 20 us the first time.
pub(super) fn ticks() -> u64 {
    match TICKS.load(Relaxed) {
        UNKNOWN => measure(),
        ticks => ticks,
    }
}

/// Measures it, or better: the median of the rounds, and of all such the least, so that a processor that was slow, or
/// busy elsewhere, does not take from a function what is its own.
#[cold]
pub(super) fn measure() -> u64 {
    static NOBODY: FunctionSite = FunctionSite::new(Name::Literal(""), "", 0, 0);
    let scopes = Scopes::new(0);
    let mut rounds = [0; ROUNDS];
    for round in &mut rounds {
        for _ in 0..BETWEEN {
            call(&scopes, &NOBODY, false);
        }
        *round = call(&scopes, &NOBODY, true);
    }
    rounds.sort_unstable();
    let median = rounds[ROUNDS / 2];
    TICKS.fetch_min(median, Relaxed).min(median)
}

/// A call of nothing: the steps of `enter` from the clock on, and those of a scope's end up to it.
#[inline(never)]
fn call(scopes: &Scopes, site: &'static FunctionSite, timed: bool) -> u64 {
    let start = black_box(if timed { begin() } else { Start::UNTIMED });
    let depth = push_on(scopes, Place::site(site));
    let ticks = if start.is_timed() { end(start) } else { 0 };
    pop_to(scopes, depth);
    ticks
}

#[cold]
#[inline(never)]
fn begin() -> Start {
    Start::at(clock::ticks_in_order(), 0)
}

#[cold]
#[inline(never)]
fn end(start: Start) -> u64 {
    let now = clock::ticks_in_order();
    start.ticks(now)
}
