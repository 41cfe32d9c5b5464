//! A recorder as the hub has it: what it is told becomes generations of its ring, and triggers fire.
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::super::event::{StringId, ThreadId, What};
use super::super::tables::Known;
use super::ring::{Bounds, Generation, Kept};
use super::trigger::{Job, On, Shared};
use super::watch::{Due, Watch};
use super::{Cause, Format};
use crate::sys;

/// A generation is no longer than this many nanoseconds, and never shorter for its age than that.
const LONGEST: u64 = 1_000_000_000;
const SHORTEST: u64 = 10_000_000;

/// The hub's side.
pub(in super::super) struct Live {
    pub(super) shared: Arc<Shared>,
    /// If anything that is slow is a trigger.
    watch: Option<Watch>,
    /// To fire at the end of the generation.
    due: Vec<Due>,
    /// Signals that are triggers, and how often each had come.
    signals: Vec<(usize, i32, u32)>,
    bounds: Bounds,
    longest: u64,
    /// Bytes of all that is complete: nobody else adds to it.
    complete: usize,
    /// Bytes that the generation began with, and its events.
    opening: usize,
    events: u64,
    lost: u64,
}

impl Live {
    pub(super) fn new(shared: Arc<Shared>) -> Live {
        let is_slow = |on: &On| matches!(on, On::Slow(_));
        let watch = shared.triggers.iter().any(|trigger| is_slow(&trigger.on)).then(Watch::default);
        let signals = shared.triggers.iter().enumerate().filter_map(|(at, trigger)| match trigger.on {
            On::Signal(signal) => Some((at, signal, sys::asked::count(signal))),
            _ => None,
        });
        let signals = signals.collect();
        let bounds = shared.bounds;
        Live {
            shared,
            watch,
            due: Vec::new(),
            signals,
            bounds,
            longest: (bounds.age / 4).clamp(SHORTEST, LONGEST),
            complete: 0,
            opening: 0,
            events: 0,
            lost: 0,
        }
    }

    pub(in super::super) fn format(&self) -> Format {
        self.shared.format
    }

    /// What a file begins with.
    pub(in super::super) fn begin(&mut self, head: &[u8]) {
        self.shared.ring.lock().begin(head);
        self.complete = head.len();
        (self.opening, self.events, self.lost) = (0, 0, 0);
    }

    /// Something happened, and has been told. `counts` if the program did it.
    pub(in super::super) fn event(
        &mut self,
        thread: ThreadId,
        what: &What,
        name: StringId,
        counts: bool,
        time: u64,
    ) {
        self.events += u64::from(counts);
        if let What::Lost { count } = what {
            self.lost += count;
        }
        let Some(watch) = &mut self.watch else { return };
        let Some(slow) = watch.event(thread, what, name, time) else { return };
        for (at, trigger) in self.shared.triggers.iter().enumerate() {
            if let On::Slow(threshold) = trigger.on
                && slow.took >= threshold
                && !watch.widen(at, slow)
                && self.shared.admits(at)
            {
                watch.arm(at, slow, time);
            }
        }
    }

    /// Makes room for what the generation has by now: `making` bytes. Whether it is to end.
    pub(in super::super) fn settle(&mut self, time: u64, begin: u64, making: usize, opening: usize) -> bool {
        self.shared.measure(self.complete + making);
        let more = making + opening;
        let is_armed = self.watch.as_ref().is_some_and(Watch::is_armed);
        if is_armed || self.complete + more > self.bounds.budget() {
            let mut ring = self.shared.ring.lock();
            if let Some(watch) = &mut self.watch {
                self.due.extend(watch.take_due(time, ring.next_to_go(more)));
            }
            // What fires now is to have what would go.
            if self.due.is_empty() {
                ring.make_room(more);
            }
            self.complete = ring.bytes();
        }
        !self.due.is_empty()
            || time - begin >= self.longest
            || making >= self.bounds.limit(self.opening)
            || self.bounds.is_crowded(opening)
    }

    /// The generation is complete.
    pub(in super::super) fn complete(&mut self, bytes: Vec<u8>, end: u64) {
        let (events, lost) = (std::mem::take(&mut self.events), std::mem::take(&mut self.lost));
        let generation = Generation { bytes: bytes.into(), end, events, lost };
        let mut ring = self.shared.ring.lock();
        ring.add(generation);
        self.complete = ring.bytes();
    }

    /// The next one has so many bytes already.
    pub(in super::super) fn opened(&mut self, opening: usize) {
        self.shared.measure(self.complete + opening);
        self.opening = opening;
    }

    /// Fires what waited for that.
    pub(in super::super) fn fire(&mut self, tables: &Known) {
        use super::super::event::Tables as _;
        for Due { trigger, slow, .. } in std::mem::take(&mut self.due) {
            let took = std::time::Duration::from_nanos(slow.took);
            self.send(trigger, Cause::Slow { name: tables.string(slow.name).to_owned(), took });
        }
    }

    /// What is complete.
    pub(in super::super) fn kept(&self) -> Kept {
        self.shared.ring.lock().all()
    }

    fn send(&self, trigger: usize, cause: Cause) {
        let snapshot = self.shared.present(cause);
        self.shared.send(Job { trigger, snapshot, done: None });
    }

    /// It is over: what waits fires, if anything does, with the end of the generation.
    pub(in super::super) fn finish(&mut self) -> bool {
        let all = self.watch.as_mut().map(|watch| watch.take_due(u64::MAX, None));
        self.due.extend(all.unwrap_or_default());
        !self.due.is_empty()
    }

    /// Whether generations that begin with so much are too large.
    pub(in super::super) fn is_crowded(&self, opening: usize) -> bool {
        self.bounds.is_crowded(opening)
    }

    /// Nothing of what was is known any more.
    pub(in super::super) fn restart(&mut self) {
        self.shared.restarts.fetch_add(1, Relaxed);
        if let Some(watch) = &mut self.watch {
            *watch = Watch::default();
        }
    }

    /// Whether a signal has come that is a trigger.
    pub(in super::super) fn is_asked(&self) -> bool {
        self.signals.iter().any(|&(_, signal, seen)| sys::asked::count(signal) != seen)
    }

    /// Fires those. The generation has just ended.
    pub(in super::super) fn answer_signals(&mut self) {
        for at in 0..self.signals.len() {
            let (trigger, signal, seen) = self.signals[at];
            let now = sys::asked::count(signal);
            self.signals[at].2 = now;
            for n in 0..now.wrapping_sub(seen) {
                if self.shared.admits(trigger) && n == 0 {
                    self.send(trigger, Cause::Signal(signal));
                }
            }
        }
    }
}
