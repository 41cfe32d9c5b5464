//! `#[profiled]` on a function: the scope. Profile `functions`, and one a function under its own name.
//!
//! A call counts itself in its thread's counter, notes its site in the thread's list of scopes, and leaves again:
//! no atomic operation, no clock. Now and then, after a random gap, a call is timed. The gap of a site follows its
//! mean duration, so that timing costs one to four per cent of what is timed: a function of 10 microseconds is timed
//! at every call, one of a nanosecond at one in 4096, once its durations are known. A timed call stands for as many as
//! its gap was expected to pass.
//!
//! A scope that is left while its thread panics, and was not entered so, is a call that panicked. A panic that begins and
//! is caught inside a destructor that another panic runs is not told from that one.
mod chains;
mod overhead;
mod report;
mod timing;

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst, compiler_fence};
use std::thread;

use crate::hook::task::Task;
use crate::local::{self, Counter, Local, MAX_SCOPES, Place, Scopes};
use crate::record::pseudo;
use crate::site::FunctionSite;
use crate::store::arena::Placed;
use crate::store::bucket::{Bucket, Buckets, Calls, Key};
use crate::store::{Labels, Stack};
use crate::trace::record;
use crate::{clock, label};

pub(crate) use report::profile_of;
use timing::Timing;

/// Timed calls by chain of scopes.
static CHAINS: Buckets<Calls> = Buckets::new();

/// What is known of a site.
#[derive(Debug)]
pub(crate) struct Stats {
    /// How long calls take.
    calls: Timing,
    /// Calls that ended by a panic.
    panics: AtomicU64,
    /// How long polls take, of a future.
    polls: Placed<Timing>,
}

impl Stats {
    const fn new() -> Stats {
        Stats { calls: Timing::new(), panics: AtomicU64::new(0), polls: Placed::new() }
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

/// When a timed call began, in ticks, above a bit that tells whether its begin is in a trace, one that tells whether its thread
/// was panicking then, and four that hold the logarithm of its weight. What is below 64 is no time. The topmost bits of the
/// ticks are gone: what counts is a difference, and in 58 bits years find room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start(u64);

impl Start {
    pub(crate) const UNTIMED: Start = Start(0);
    /// A future that was not polled yet.
    pub(crate) const NOT_YET: Start = Start(1);
    /// A future that was polled to its end.
    pub(crate) const OVER: Start = Start(2);
    const UNWINDS: u64 = 16;
    const TRACED: u64 = 32;

    fn at(ticks: u64, log: u32) -> Start {
        Start((ticks << 6 | u64::from(log)).max(64))
    }

    /// With the note that a trace has it.
    pub(crate) fn traced(self) -> Start {
        Start(self.0 | Start::TRACED)
    }

    pub(crate) fn is_traced(self) -> bool {
        self.0 & Start::TRACED != 0
    }

    /// With the note whether this thread is panicking: then it is a destructor that enters the scope.
    #[inline(always)]
    fn entered(self) -> Start {
        if thread::panicking() { Start(self.0 | Start::UNWINDS) } else { self }
    }

    /// Whether the scope that was entered then is left by a panic.
    #[inline(always)]
    fn panicked(self) -> bool {
        thread::panicking() && self.0 & Start::UNWINDS == 0
    }

    #[inline(always)]
    pub(crate) fn is_timed(self) -> bool {
        self.0 >= 64
    }

    /// Ticks until `now`. A counter that went backwards between two cores gives a negative difference, which is 0.
    fn ticks(self, now: u64) -> u64 {
        ((now << 6).wrapping_sub(self.0 & !63) as i64 >> 6).max(0) as u64
    }

    /// Nanoseconds until `now`, without what the hook itself takes of them.
    fn elapsed(self, now: u64) -> u64 {
        clock::elapsed(0, self.ticks(now).saturating_sub(overhead::ticks()))
    }

    fn weight(self) -> u64 {
        1 << (self.0 & 15)
    }
}

/// What an annotated function's first statement calls.
#[doc(hidden)]
#[inline(always)]
pub fn enter(site: &'static FunctionSite) -> Scope {
    // What is rare is one call each time, and nothing but its result is needed after it: so the function that we are in
    // has no registers to save.
    let (start, depth) = local::with(|local| match local.counter(site.id.load(Relaxed)) {
        None => enter_rarely(site, Turn::Uncounted),
        Some(counter) if counter.add_and_test() => enter_rarely(site, Turn::Timed),
        Some(_) if thread::panicking() => enter_rarely(site, Turn::Counted),
        Some(_) => (Start::UNTIMED, push(local, site)),
    });
    Scope { site, depth, start, here: PhantomData }
}

/// What has been done of a call's begin.
enum Turn {
    Uncounted,
    Counted,
    /// It is counted, and its turn to be timed.
    Timed,
}

/// The thread's first call, one that is timed, or one of a destructor while it panics.
#[cold]
#[inline(never)]
fn enter_rarely(site: &'static FunctionSite, turn: Turn) -> (Start, usize) {
    local::with(|local| {
        let traced = traced_call(site);
        let start = match turn {
            Turn::Uncounted => count(local, site),
            Turn::Counted => Start::UNTIMED,
            Turn::Timed => timed(local, site),
        };
        let start = if traced { start.traced() } else { start };
        (start.entered(), push(local, site))
    })
}

/// A call begins: tells the trace if there is one, and the site if there is none any more.
fn traced_call(site: &'static FunctionSite) -> bool {
    if !record::is_on() {
        if site.is_traced() {
            site.trace(false);
        }
        return false;
    }
    if site.traced {
        record::scope_begins(site);
    }
    site.traced
}

/// The end of a call that is timed, or of any while the thread panics. Gives back the depth.
#[cold]
#[inline(never)]
fn leave_rarely(site: &'static FunctionSite, start: Start, depth: usize) -> usize {
    local::with(|local| {
        if start.is_timed() {
            book(local, site, start, noted(local, depth));
        }
        if start.panicked() {
            panicked(site);
        }
        if start.is_traced() {
            record::scope_ends(site);
        }
    });
    depth
}

/// Counts a call, and begins to time it if it is its turn.
#[inline(always)]
pub(crate) fn count(local: &Local, site: &'static FunctionSite) -> Start {
    match local.counter(site.id()) {
        Some(counter) if !counter.add_and_test() => Start::UNTIMED,
        Some(_) => timed(local, site),
        None => first(local, site),
    }
}

/// Notes the scope and gives the depth to restore.
#[inline(always)]
pub(crate) fn push(local: &Local, site: &'static FunctionSite) -> usize {
    push_on(local.scopes(), Place::site(site))
}

/// The same of a future that is polled, in a frame that holds the address `mark`. `None` where no more are noted.
#[inline(always)]
pub(crate) fn push_task(local: &Local, task: &'static Task, mark: usize) -> Option<usize> {
    let scopes = local.scopes();
    let depth = scopes.depth.load(Relaxed);
    if depth >= MAX_SCOPES {
        return None;
    }
    scopes.set(depth, Place::task(task));
    // Whoever looks for it does so from within this poll.
    scopes.set_mark(depth, mark);
    compiler_fence(SeqCst);
    scopes.depth.store(depth + 1, Relaxed);
    // The place is not stored once more, as in `push_at`: that takes half a nanosecond. So a signal handler that calls profiled
    // functions between these instructions leaves one's name to this poll. No more than that: the depth is right, and who
    // looks for the future here finds none.
    compiler_fence(SeqCst);
    Some(depth)
}

/// The same, noted or not.
pub(crate) fn push_task_anyhow(local: &Local, task: &'static Task, mark: usize) -> usize {
    if local.scopes().depth.load(Relaxed) >= MAX_SCOPES {
        // It may have begun on another thread, and this one have counted nothing yet.
        _ = local::thread(local);
    }
    push_task(local, task, mark).unwrap_or_else(|| push_on(local.scopes(), Place::task(task)))
}

#[inline(always)]
fn push_on(scopes: &Scopes, place: Place) -> usize {
    let depth = scopes.depth.load(Relaxed);
    push_at(scopes, depth, place);
    depth
}

#[inline(always)]
fn push_at(scopes: &Scopes, depth: usize, place: Place) {
    // A signal handler that calls profiled functions finds us noted as soon as we count. But before that it may use our
    // place itself, and leave another's name there: so once more.
    scopes.set(depth, place);
    compiler_fence(SeqCst);
    scopes.depth.store(depth + 1, Relaxed);
    compiler_fence(SeqCst);
    scopes.set(depth, place);
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
        let rare = self.start != Start::UNTIMED || thread::panicking();
        let depth = if rare { leave_rarely(self.site, self.start, self.depth) } else { self.depth };
        local::with(|local| pop(local, depth));
    }
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

/// A future is polled, and it is that poll's turn to be timed: when it begins.
#[cold]
#[inline(never)]
pub(crate) fn begin_poll(site: &'static FunctionSite, polls: &Counter) -> Start {
    let timing = site.stats.get().and_then(|stats| stats.polls.get());
    let (log, gap) = gap(timing);
    Start::at(clock::ticks_in_order(), polls.draw(gap, log))
}

/// Chooses which poll of a future that begins is timed first. The gap has no memory: so futures that are polled a few
/// times each are timed as often as one that is polled as often as all of them.
pub(crate) fn draw_polls(site: &'static FunctionSite, polls: &Counter) {
    let (log, gap) = gap(site.stats.get().and_then(|stats| stats.polls.get()));
    polls.draw(gap, log);
}

fn gap(timing: Option<&Timing>) -> (u32, u64) {
    match Timing::log_of_gap(timing) {
        0 => (0, 1),
        log => (log, local::with(|local| local.random(|random| random.gap(1 << log)))),
    }
}

/// A timed poll ended: reads the clock first. Gives the nanoseconds that it stands for.
#[cold]
#[inline(never)]
pub(crate) fn end_poll(site: &'static FunctionSite, start: Start) -> u64 {
    let now = clock::ticks_in_order();
    let (duration, weight) = (start.elapsed(now), start.weight());
    local::with(|local| {
        local.enter(|| {
            let polls = site.stats.get_or_place(Stats::new)?.polls.get_or_place(Timing::new)?;
            polls.add(duration, weight);
            Some(())
        });
    });
    duration.saturating_mul(weight)
}

/// The thread's first call of this site, or of any site.
#[cold]
#[inline(never)]
fn first(local: &Local, site: &'static FunctionSite) -> Start {
    // The id as counters go by it.
    if site.id() == 0 {
        local.enter(|| local::site_id(&site.id));
    }
    let id = site.id();
    if id == 0 {
        return Start::UNTIMED;
    }
    if record::is_on() {
        site.trace(true);
    }
    match local::first_event(local, &AtomicU32::new(id)) {
        Some(counter) if counter.add_and_test() => timed(local, site),
        _ => Start::UNTIMED,
    }
}

/// This call is timed: draws the gap to the next one, notes the call in its chain, and reads the clock last.
#[cold]
#[inline(never)]
fn timed(local: &Local, site: &'static FunctionSite) -> Start {
    let timing = site.stats.get().map(|stats| &stats.calls);
    let Some(log) = draw(local, site.id(), timing) else { return Start::UNTIMED };
    let depth = local.scopes().depth.load(Relaxed);
    let bucket = begin(local, site, 1 << log);
    if let Some(noted) = local.scopes().timed.get(depth) {
        noted.set(bucket);
    }
    Start::at(clock::ticks_in_order(), log)
}

/// The logarithm of the weight of the event just counted, having drawn the gap to the next one that is timed.
fn draw(local: &Local, id: u32, timing: Option<&Timing>) -> Option<u32> {
    let counter = local.counter(id)?;
    let (log, gap) = gap(timing);
    Some(counter.draw(gap, log))
}

/// Counts a timed call in the chain that it is about to be the innermost scope of.
fn begin(local: &Local, site: &'static FunctionSite, weight: u64) -> Option<&'static Bucket<Calls>> {
    local.enter(|| {
        let bucket = bucket_of(local, site, local.scopes().depth.load(Relaxed))?;
        bucket.value().begin(weight);
        Some(bucket)
    })?
}

/// What `timed` noted of the call at this depth.
#[inline(always)]
fn noted(local: &Local, depth: usize) -> Option<&'static Bucket<Calls>> {
    local.scopes().timed.get(depth)?.get()
}

/// The same of the call that was counted last and is no scope yet.
pub(crate) fn noted_next(local: &Local) -> Option<&'static Bucket<Calls>> {
    noted(local, local.scopes().depth.load(Relaxed))
}

/// A timed call ended: reads the clock first, then books it at its chain of scopes.
#[inline]
pub(crate) fn book(
    local: &Local,
    site: &'static FunctionSite,
    start: Start,
    bucket: Option<&'static Bucket<Calls>>,
) {
    let now = clock::ticks_in_order();
    local.enter(|| {
        let (duration, weight) = (start.elapsed(now), start.weight());
        let Some(stats) = site.stats.get_or_place(Stats::new) else { return };
        stats.calls.add(duration, weight);
        // Deeper than is noted, or what a signal handler left there: the chain it is in now.
        let bucket =
            bucket.filter(|bucket| bucket.key().scope.is_some_and(|scope| std::ptr::eq(scope, site)));
        let depth = local.scopes().depth.load(Relaxed).saturating_sub(1);
        if let Some(bucket) = bucket.or_else(|| bucket_of(local, site, depth)) {
            bucket.value().end(duration, weight);
        }
    });
}

/// A call ended by a panic.
#[cold]
#[inline(never)]
pub(crate) fn panicked(site: &'static FunctionSite) {
    if let Some(stats) = site.stats.get_or_place(Stats::new) {
        stats.panics.fetch_add(1, Relaxed);
    }
}

/// The counters of calls of `site` at this depth. Where there are too many chains, those of the site alone.
fn bucket_of(local: &Local, site: &'static FunctionSite, depth: usize) -> Option<&'static Bucket<Calls>> {
    let stack = chain(local, site, depth);
    let key = Key { stack, labels: label::interned(), scope: Some(site), what: 0, rate: 0 };
    CHAINS.get_or(key, Key { stack: Stack::other(), labels: Labels::none(), ..key })
}

/// `site` and the scopes of this thread around it, innermost first, as a stack of the sites' addresses.
fn chain(local: &Local, site: &'static FunctionSite, depth: usize) -> Stack {
    let scopes = local.scopes();
    let noted = depth.min(MAX_SCOPES);
    let mut addresses = [0; MAX_SCOPES + 2];
    addresses[0] = std::ptr::from_ref(site).addr() as u64;
    let mut len = 1;
    if depth > noted {
        // Scopes between were too deep to be noted.
        addresses[len] = pseudo::TRUNCATED;
        len += 1;
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
