//! A session: an encoder, a writer, and what they were told so far.
use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::io::{self, Write};
use std::mem;

use super::event::{Beginning, Encoder, Event, HUB, StringId, TaskId, ThreadId, What};
use super::flight::{Kept, Live};
use super::hub::guarded;
use super::record;
use super::tables::{Known, Map, Words};
use crate::clock;

/// A generation is no longer than this many nanoseconds, nor has more bytes than that.
const LONGEST: u64 = 1_000_000_000;
const LARGEST: u64 = 1 << 20;
/// Bytes that are written at once, at least, within a generation.
const PORTION: usize = 64 << 10;

/// What a session recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Events of the program that are in the trace.
    pub events: u64,
    /// Events that are not, because the writer was slower than the program for longer than there is memory for.
    pub dropped: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// Of a snapshot of a [`FlightRecorder`](super::FlightRecorder): how often a trigger of it was held back so far.
    pub suppressed: u64,
}

/// Where the bytes of a session go.
pub(super) enum Output {
    Writer(Box<dyn Write + Send>),
    /// Into the ring of a flight recorder.
    Ring(Box<Live>),
}

/// Who a thread is.
#[derive(Clone, Copy)]
pub(super) struct Who {
    pub(super) what: What,
}

pub(super) struct Session {
    pub(super) number: u64,
    /// Ticks.
    began: u64,
    lost_before: u64,
    /// Events of which it was told that they are lost.
    told: u64,
    encoder: Box<dyn Encoder>,
    output: Output,
    failed: Option<io::Error>,
    summary: Summary,
    /// Bytes not yet written.
    out: Vec<u8>,
    beginning: Beginning,
    is_begun: bool,
    /// Of the last event, and of the generation's begin.
    time: u64,
    generation: (u64, u64),
    threads: Map<ThreadId, ()>,
    tasks: HashSet<TaskId, BuildHasherDefault<Words>>,
}

impl Session {
    pub(super) fn new(
        number: u64,
        beginning: Beginning,
        lost: u64,
        encoder: Box<dyn Encoder>,
        output: Output,
    ) -> Session {
        Session {
            number,
            began: clock::ticks(),
            lost_before: lost,
            told: 0,
            encoder,
            output,
            failed: None,
            summary: Summary::default(),
            out: Vec::new(),
            beginning,
            is_begun: false,
            time: 0,
            generation: (0, 0),
            threads: Map::default(),
            tasks: HashSet::default(),
        }
    }

    /// Something happened at `ticks`; `counts` if the program did it, and `name` is whose poll it is. `who` is the thread.
    pub(super) fn event(
        &mut self,
        ticks: u64,
        thread: ThreadId,
        (what, counts, name): (What, bool, StringId),
        who: Option<Who>,
        tables: &mut Known,
    ) {
        if (ticks.wrapping_sub(self.began) as i64) < 0 {
            return;
        }
        self.summary.events += u64::from(counts);
        if self.failed.is_some() {
            return;
        }
        self.time = self.time.max(clock::elapsed(self.began, ticks));
        self.begin();
        if let What::Lost { count } = what {
            self.told += count;
            self.end_generation(tables);
        }
        if thread != HUB && !self.threads.contains_key(&thread) {
            self.threads.insert(thread, ());
            if let Some(who) = who
                && !matches!(what, What::Thread { .. })
            {
                self.tell(thread, who.what, tables);
            }
        }
        if self.knows(thread, &what, name, tables) {
            self.tell(thread, what, tables);
        }
        if let What::ThreadEnd = what {
            self.threads.remove(&thread);
        }
        if let Output::Ring(live) = &mut self.output {
            live.event(thread, &what, name, counts, self.time);
            self.settle(tables);
        } else if self.is_large() {
            self.end_generation(tables);
        } else if self.out.len() >= PORTION {
            self.write();
        }
    }

    fn is_large(&self) -> bool {
        self.time - self.generation.0 >= LONGEST || self.bytes() - self.generation.1 >= LARGEST
    }

    /// Keeps what a flight recorder has within its bounds.
    fn settle(&mut self, tables: &mut Known) {
        let Output::Ring(live) = &mut self.output else { return };
        let making = self.out.len() + self.encoder.held();
        if live.settle(self.time, self.generation.0, making, self.encoder.opening()) {
            self.end_generation(tables);
        }
    }

    /// Whether the event is of a future that it knows; one that is polled it gets to know.
    fn knows(&mut self, thread: ThreadId, what: &What, name: StringId, tables: &mut Known) -> bool {
        match *what {
            What::TaskCreate { task, .. } => self.tasks.insert(task),
            What::PollBegin { task } => {
                if self.tasks.insert(task) {
                    let create = What::TaskCreate { task, parent: 0, name, spawned: false, stack: 0 };
                    self.tell(thread, create, tables);
                }
                true
            }
            What::TaskWake { task, .. } | What::Await { task, .. } | What::PollEnd { task, .. } => {
                self.tasks.contains(&task)
            }
            What::TaskEnd { task, .. } => self.tasks.remove(&task),
            // Nobody's wait ended by it.
            What::Wake { thread, .. } => thread != 0 && self.threads.contains_key(&thread),
            _ => true,
        }
    }

    fn begin(&mut self) {
        if self.is_begun {
            return;
        }
        self.is_begun = true;
        self.encoder.begin(self.beginning, &mut self.out);
        if let Output::Ring(live) = &mut self.output {
            live.begin(&self.out);
            self.out.clear();
        }
    }

    /// Begins anew, as if nothing was known.
    fn restart(&mut self, tables: &mut Known) {
        let Output::Ring(live) = &mut self.output else { return };
        live.restart();
        self.encoder = live.format().encoder();
        self.threads.clear();
        self.tasks.clear();
        self.is_begun = false;
        self.begin();
        // Time 0 is long ago.
        self.encoder.end_generation(self.time, tables, &mut self.out);
        self.out.clear();
    }

    fn tell(&mut self, thread: ThreadId, what: What, tables: &mut Known) {
        self.encoder.event(Event { thread, time: self.time, what }, tables, &mut self.out);
    }

    fn bytes(&self) -> u64 {
        self.summary.bytes + self.out.len() as u64
    }

    fn end_generation(&mut self, tables: &mut Known) {
        let opening = self.complete(tables);
        self.go_on(opening, tables);
    }

    /// Ends the generation. Gives how many bytes the next one would begin with.
    fn complete(&mut self, tables: &mut Known) -> usize {
        let opening = self.encoder.opening();
        self.encoder.end_generation(self.time, tables, &mut self.out);
        match &mut self.output {
            Output::Writer(_) => self.write(),
            Output::Ring(live) => {
                live.complete(mem::take(&mut self.out), self.time);
                live.fire(tables);
            }
        }
        opening
    }

    /// Begins the next one.
    fn go_on(&mut self, opening: usize, tables: &mut Known) {
        if matches!(&self.output, Output::Ring(live) if live.is_crowded(opening)) {
            self.restart(tables);
        }
        self.encoder.begin_generation(tables, &mut self.out);
        if let Output::Ring(live) = &mut self.output {
            live.opened(self.out.len() + self.encoder.held());
        }
        self.generation = (self.time, self.bytes());
        tables.refresh();
    }

    /// Whether a flight recorder is asked for a snapshot by a signal.
    pub(super) fn is_asked(&self) -> bool {
        matches!(&self.output, Output::Ring(live) if live.is_asked())
    }

    /// Has all that was told in complete generations, takes the snapshots that signals ask for, and gives what there is.
    pub(super) fn cut(&mut self, until: u64, tables: &mut Known) -> Option<Kept> {
        self.pass(until, tables);
        self.begin();
        let opening = self.complete(tables);
        let kept = match &mut self.output {
            Output::Writer(_) => None,
            Output::Ring(live) => {
                live.answer_signals();
                Some(live.kept())
            }
        };
        self.go_on(opening, tables);
        kept
    }

    /// Time goes on, and nothing may happen for long.
    pub(super) fn pass(&mut self, ticks: u64, tables: &mut Known) {
        if self.failed.is_some() || (ticks.wrapping_sub(self.began) as i64) < 0 {
            return;
        }
        self.time = self.time.max(clock::elapsed(self.began, ticks));
        self.begin();
        match self.output {
            Output::Writer(_) if self.time - self.generation.0 < LONGEST => {}
            Output::Writer(_) => self.end_generation(tables),
            Output::Ring(_) => self.settle(tables),
        }
    }

    fn write(&mut self) {
        if let (Output::Writer(output), None) = (&mut self.output, &self.failed) {
            let out = &self.out;
            match guarded(|| output.write_all(out)) {
                Ok(()) => self.summary.bytes += self.out.len() as u64,
                Err(error) => self.failed = Some(error),
            }
        }
        self.out.clear();
    }

    /// It is over.
    pub(super) fn finish(mut self, until: u64, tables: &mut Known) -> io::Result<Summary> {
        self.pass(until, tables);
        self.begin();
        if let Output::Ring(live) = &mut self.output {
            if live.finish() {
                self.end_generation(tables);
            }
            return Ok(self.summary);
        }
        self.summary.dropped = record::lost() - self.lost_before;
        if self.failed.is_none() {
            if self.summary.dropped > self.told {
                // Those threads did nothing after it.
                self.end_generation(tables);
                self.tell(HUB, What::Lost { count: self.summary.dropped - self.told }, tables);
            }
            self.encoder.end_generation(self.time, tables, &mut self.out);
            self.encoder.finish(tables, &mut self.out);
            self.write();
        }
        let Session { output, failed, summary, .. } = self;
        let Output::Writer(mut output) = output else { return Ok(summary) };
        let flushed = guarded(|| output.flush());
        // The program's code, too.
        let dropped = guarded(|| {
            drop(output);
            Ok(())
        });
        match failed {
            Some(error) => Err(error),
            None => flushed.and(dropped).map(|()| summary),
        }
    }
}
