//! `#[profiled]` on a function: the scope. Profile `functions`, and one a function under its own name.
//!
//! A call counts itself in its thread's counter, notes its site in the thread's list of scopes, and leaves again:
//! no atomic operation, no clock. Now and then, after a random gap, a call is timed. The gap of a site follows its
//! mean duration, so that timing costs one to four per cent of what is timed: a function of 10 microseconds is timed
//! at every call, one of a nanosecond at one in 4096. A timed call stands for as many as its gap was expected to
//! pass.
mod overhead;
mod report;

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst, compiler_fence};

use crate::local::{self, Local, MAX_SCOPES, Scopes};
use crate::record::pseudo;
use crate::site::FunctionSite;
use crate::store::Stack;
use crate::store::bucket::{Buckets, Key};
use crate::store::histogram::Histogram;
use crate::{clock, label};

pub(crate) use report::profile_of;

/// Timed calls by chain of scopes: weights, and nanoseconds times weight.
static CHAINS: Buckets = Buckets::new();

/// Timing a call and booking it takes about 150 ns, and 800 where two threads book at one site and wait for each
/// other's cache lines. With this factor that is 1 % of the calls it stands for, or 4, and twice that at the worst, just
/// above 10 us, where every call is timed.
const WORTH: u64 = 20_000;
/// The logarithm of the longest gap: however short a function is, every 4096th call is timed.
const LONGEST: u32 = 12;

/// What is known of a site's durations.
#[derive(Debug)]
pub(crate) struct Stats {
    /// Timed calls times their weight.
    weight: AtomicU64,
    /// Their nanoseconds times their weight.
    sum: AtomicU64,
    histogram: Histogram,
}

impl Stats {
    const fn new() -> Stats {
        Stats { weight: AtomicU64::new(0), sum: AtomicU64::new(0), histogram: Histogram::new() }
    }

    fn mean(&self) -> Option<u64> {
        self.sum.load(Relaxed).checked_div(self.weight.load(Relaxed))
    }
}

/// A stretch of one thread, from a call to its end.
#[doc(hidden)]
#[must_use]
pub struct Scope {
    site: &'static FunctionSite,
    depth: usize,
    start: Start,
    /// It belongs to the thread it began on.
    here: PhantomData<*const ()>,
}

/// When a timed call began, in ticks, above five bits that hold the logarithm of its weight. What is below 32 is no
/// time. The topmost bits of the ticks are gone: what counts is a difference, and in 59 bits years find room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start(u64);

impl Start {
    pub(crate) const UNTIMED: Start = Start(0);
    /// A future that was not polled yet.
    pub(crate) const NOT_YET: Start = Start(1);
    /// A future that was polled to its end.
    pub(crate) const OVER: Start = Start(2);

    fn at(ticks: u64, log: u32) -> Start {
        Start((ticks << 5 | u64::from(log)).max(32))
    }

    #[inline(always)]
    pub(crate) fn is_timed(self) -> bool {
        self.0 >= 32
    }

    /// Ticks until `now`. A counter that went backwards between two cores gives a negative difference, which is 0.
    fn ticks(self, now: u64) -> u64 {
        ((now << 5).wrapping_sub(self.0 & !31) as i64 >> 5).max(0) as u64
    }

    /// Nanoseconds until `now`, without what the hook itself takes of them.
    fn elapsed(self, now: u64) -> u64 {
        clock::elapsed(0, self.ticks(now).saturating_sub(overhead::ticks()))
    }

    fn weight(self) -> u64 {
        1 << (self.0 & 31)
    }
}

/// What an annotated function's first statement calls.
#[doc(hidden)]
#[inline(always)]
pub fn enter(site: &'static FunctionSite) -> Scope {
    local::with(|local| {
        let start = count(local, site);
        let depth = push(local, site);
        Scope { site, depth, start, here: PhantomData }
    })
}

/// Counts a call, and begins to time it if it is its turn.
#[inline(always)]
pub(crate) fn count(local: &Local, site: &'static FunctionSite) -> Start {
    match local.counter(site.id.load(Relaxed)) {
        Some(counter) if !counter.add_and_test() => Start::UNTIMED,
        Some(_) => timed(local, site),
        None => first(local, site),
    }
}

/// Notes the scope and gives the depth to restore.
#[inline(always)]
pub(crate) fn push(local: &Local, site: &'static FunctionSite) -> usize {
    push_on(local.scopes(), site)
}

#[inline(always)]
fn push_on(scopes: &Scopes, site: &'static FunctionSite) -> usize {
    let depth = scopes.depth.load(Relaxed);
    let note = || {
        if let Some(slot) = scopes.sites.get(depth) {
            slot.store(std::ptr::from_ref(site).cast_mut(), Relaxed);
        }
    };
    // A signal handler that calls profiled functions finds us noted as soon as we count. But before that it may use our
    // place itself, and leave another's name there: so once more.
    note();
    compiler_fence(SeqCst);
    scopes.depth.store(depth + 1, Relaxed);
    compiler_fence(SeqCst);
    note();
    depth
}

/// Restores the depth: a scope that was leapt over by `longjmp` is left with the one around it.
#[inline(always)]
pub(crate) fn pop(local: &Local, depth: usize) {
    pop_to(local.scopes(), depth);
}

#[inline(always)]
fn pop_to(scopes: &Scopes, depth: usize) {
    scopes.depth.store(depth, Relaxed);
}

impl Drop for Scope {
    #[inline(always)]
    fn drop(&mut self) {
        local::with(|local| {
            if self.start.is_timed() {
                book(local, self.site, self.start);
            }
            pop(local, self.depth);
        });
    }
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

/// The thread's first call of this site, or of any site.
#[cold]
#[inline(never)]
fn first(local: &Local, site: &'static FunctionSite) -> Start {
    match local::first_event(local, &site.id) {
        Some(counter) if counter.add_and_test() => timed(local, site),
        _ => Start::UNTIMED,
    }
}

/// This call is timed: draws the gap to the next one, and reads the clock last.
#[cold]
#[inline(never)]
fn timed(local: &Local, site: &'static FunctionSite) -> Start {
    let Some(counter) = local.counter(site.id.load(Relaxed)) else { return Start::UNTIMED };
    let mean = site.stats.get().and_then(Stats::mean).unwrap_or(WORTH);
    let log = match WORTH / mean.saturating_add(1) {
        0 | 1 => 0,
        times => (times.ilog2() + 1).min(LONGEST),
    };
    let gap = if log == 0 { 1 } else { local.random(|random| random.gap(1 << log)) };
    let weight = counter.draw(gap, log);
    Start::at(clock::ticks_in_order(), weight)
}

/// A timed call ended: reads the clock first, then books it at its chain of scopes.
#[cold]
#[inline(never)]
pub(crate) fn book(local: &Local, site: &'static FunctionSite, start: Start) {
    let now = clock::ticks_in_order();
    local.enter(|| {
        let duration = start.elapsed(now);
        let weight = start.weight();
        let Some(stats) = site.stats.get_or_place(Stats::new) else { return };
        stats.weight.fetch_add(weight, Relaxed);
        stats.sum.fetch_add(duration.saturating_mul(weight), Relaxed);
        stats.histogram.add(duration, weight);
        let key = Key { stack: chain(local), labels: label::interned(), scope: Some(site), what: 0, rate: 0 };
        if let Some(bucket) = CHAINS.get(key) {
            bucket.value().first.fetch_add(weight, Relaxed);
            bucket.value().second.fetch_add(duration.saturating_mul(weight), Relaxed);
        }
    });
}

/// The scopes this thread is in, innermost first, as a stack of the sites' addresses.
fn chain(local: &Local) -> Stack {
    let scopes = local.scopes();
    let depth = scopes.depth.load(Relaxed);
    let noted = depth.min(MAX_SCOPES);
    let mut addresses = [0; MAX_SCOPES + 1];
    let mut len = 0;
    if depth > noted {
        // The innermost scopes were too deep to be noted.
        addresses[0] = pseudo::TRUNCATED;
        len = 1;
    }
    for site in (0..noted).rev().filter_map(|at| scopes.site(at)) {
        addresses[len] = std::ptr::from_ref(site).addr() as u64;
        len += 1;
    }
    Stack::intern(&addresses[..len], 0)
}

/// The innermost scope's name, for a label.
pub(crate) fn name_of(scope: Option<&'static FunctionSite>) -> Option<&'static str> {
    scope.map(FunctionSite::unique_name)
}
