//! Perfetto's protobuf, for <https://ui.perfetto.dev>.
//!
//! A thread is a track with slices: functions, regions, waits, polls. A future has a track of its own, where slices are its
//! polls and what it awaits; a user's task is a slice on a track of its own; a lock's track counts who waits for it.
//! Arrows ("flows") go from who spawns, wakes or lets go on to who then does, and along the regions of a task.
//!
//! Packets are in sequences, one for each thread and one for the hub. What a sequence has said, and the descriptions of
//! tracks, are said again in each generation, so that each can be read without those before it. What is written ends what
//! was begun, and nothing else: readers end the innermost slice of a track, whatever it is.
mod happened;
mod proto;
mod sequence;
mod track;

use std::collections::HashSet;
use std::env;
use std::hash::BuildHasherDefault;
use std::mem;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::event::{Beginning, Encoder, Event, HUB, StackId, StringId, Tables, TaskId, ThreadId};
use super::tables::{Map, Words};
use proto::{Annotation, Packet, TrackEvent};
use sequence::{Dictionary, Name, Sequence};
use track::{Future, Lock, Open, Thread, Track, Within};

pub(super) struct Perfetto {
    /// Nanoseconds at time 0, and since 1970.
    zero: u64,
    wall: u64,
    /// Nanoseconds of the last event.
    time: u64,
    process: u32,
    process_name: String,
    generation: u32,
    words: Dictionary,
    /// Tracks that were described in this generation.
    described: HashSet<u64, BuildHasherDefault<Words>>,
    hub: Sequence,
    threads: Map<ThreadId, Thread>,
    futures: Map<TaskId, Future>,
    /// Users' tasks that go on, with their names.
    tasks: Map<TaskId, StringId>,
    /// What was ever waited for, and where it is among that.
    locks: Vec<Lock>,
    lock_numbers: Map<(u64, StringId), usize>,
    last_flow: u64,
    lost: u64,
}

/// What events go to, besides the state: what numbers stand for, and the bytes that are done.
struct To<'a> {
    tables: &'a mut dyn Tables,
    out: &'a mut Vec<u8>,
}

/// An event on a track.
#[derive(Default)]
struct Say {
    kind: u32,
    /// Another one than the thread's.
    track: Option<Track>,
    name: Name,
    stack: StackId,
    flow: Option<u64>,
    /// A flow that ends here, at its begin.
    last_of_flow: Option<u64>,
    counter: Option<i64>,
    number: Option<(&'static str, u64)>,
    text: Option<(&'static str, StringId)>,
}

/// The flow along the regions of a user's task; others have odd numbers.
fn flow_of(task: TaskId) -> Option<u64> {
    (task != 0).then_some(task << 1)
}

impl Perfetto {
    pub(super) fn new() -> Perfetto {
        Perfetto {
            zero: 0,
            wall: 0,
            time: 0,
            process: 0,
            process_name: String::new(),
            generation: 1,
            words: Dictionary::default(),
            described: HashSet::default(),
            hub: Sequence::new(HUB + 1, Track::Process.uuid()),
            threads: Map::default(),
            futures: Map::default(),
            tasks: Map::default(),
            locks: Vec::new(),
            lock_numbers: Map::default(),
            last_flow: 0,
            lost: 0,
        }
    }

    fn new_flow(&mut self) -> u64 {
        self.last_flow += 1;
        self.last_flow << 1 | 1
    }

    /// Begins the generation, if that is not done.
    fn open(&mut self, tables: &dyn Tables, out: &mut Vec<u8>) {
        let wall = self.wall + (self.time - self.zero);
        if self.hub.begin(self.generation, self.time, Some(wall), out) {
            self.describe(Track::Process, tables, out);
        }
    }

    /// Says what a track is, once in a generation, and what it is under.
    fn describe(&mut self, track: Track, tables: &dyn Tables, out: &mut Vec<u8>) {
        if !self.described.insert(track.uuid()) {
            return;
        }
        if let Some(parent) = track.parent() {
            self.describe(parent, tables, out);
        }
        let pid = self.process as i32;
        let mut descriptor = track.descriptor();
        match track {
            Track::Process => {
                descriptor.process = Some(proto::Process { pid, name: self.process_name.clone() });
            }
            Track::Thread(thread) => {
                let Some(thread) = self.threads.get(&thread) else { return };
                let name = tables.string(thread.name).to_owned();
                descriptor.thread = Some(proto::Thread { pid, tid: thread.tid, name });
            }
            Track::Future(task) => {
                let name = self.futures.get(&task).map_or(0, |future| future.name);
                descriptor.name = tables.string(name).to_owned();
            }
            Track::Task(task) => {
                let name = self.tasks.get(&task).copied().unwrap_or_default();
                descriptor.name = tables.string(name).to_owned();
            }
            Track::Lock(number) => {
                let Some(lock) = self.locks.get(number) else { return };
                descriptor.name = match tables.string(lock.name) {
                    "" => format!("{} {:#x}", lock.class.name(), lock.object),
                    name => name.to_owned(),
                };
            }
            Track::Heap | Track::Futures | Track::Tasks | Track::Locks => {}
        }
        let packet = Packet { sequence: HUB + 1, track: Some(Box::new(descriptor)), ..Packet::default() };
        sequence::write(&packet, out);
    }

    /// The sequence of a thread, in this generation, and that of the hub for it.
    fn begin(&mut self, id: ThreadId, to: &mut To<'_>) -> bool {
        self.open(to.tables, to.out);
        if id == HUB {
            return true;
        }
        let Some(thread) = self.threads.get_mut(&id) else { return false };
        if thread.sequence.begin(self.generation, self.time, None, to.out) {
            self.describe(Track::Thread(id), to.tables, to.out);
        }
        true
    }

    /// Writes an event of a thread, or of the hub. One of a thread that is not known is none.
    fn say(&mut self, id: ThreadId, say: Say, to: &mut To<'_>) {
        if !self.begin(id, to) {
            return;
        }
        if let Some(track) = say.track {
            self.describe(track, to.tables, to.out);
        }
        let words = &mut self.words;
        let sequence = match self.threads.get_mut(&id) {
            Some(thread) => &mut thread.sequence,
            None => &mut self.hub,
        };
        let mut news = None;
        let mut event = TrackEvent {
            kind: say.kind,
            name: sequence.name(say.name, words, to.tables, &mut news),
            track: say.track.map_or(0, Track::uuid),
            counter: say.counter,
            flow: say.flow.unwrap_or_default(),
            last_of_flow: say.last_of_flow.unwrap_or_default(),
            stack: sequence.stack(say.stack, words, to.tables, &mut news),
            ..TrackEvent::default()
        };
        if let Some((name, number)) = say.number {
            let name = sequence.annotation(name, words, &mut news);
            event.annotations.push(Annotation { name, number: Some(number), text: None });
        }
        if let Some((name, text)) = say.text {
            let name = sequence.annotation(name, words, &mut news);
            let text = Some(to.tables.string(text).to_owned());
            event.annotations.push(Annotation { name, number: None, text });
        }
        let packet = Packet { track_event: Some(event), interned: news, ..Packet::default() };
        sequence.packet(packet, self.time, to.out);
    }

    fn instant(&mut self, id: ThreadId, name: &'static str, rest: Say, to: &mut To<'_>) {
        self.say(id, Say { kind: proto::INSTANT, name: Name::Fixed(name), ..rest }, to);
    }

    fn end(&mut self, id: ThreadId, track: Option<Track>, to: &mut To<'_>) {
        self.say(id, Say { kind: proto::END, track, ..Say::default() }, to);
    }

    /// Begins a slice of a thread.
    fn push(&mut self, id: ThreadId, open: Open, say: Say, to: &mut To<'_>) {
        let Some(thread) = self.threads.get_mut(&id) else { return };
        thread.open.push(open);
        self.say(id, Say { kind: proto::BEGIN, ..say }, to);
    }

    /// Ends the innermost slice of a thread for which that is so, and those in it. Whether there was one: it may have begun
    /// before anybody recorded.
    fn pop(&mut self, id: ThreadId, is: impl Fn(Open) -> bool, to: &mut To<'_>) -> bool {
        let Some(thread) = self.threads.get(&id) else { return false };
        let Some(at) = thread.open.iter().rposition(|&open| is(open)) else { return false };
        self.close(id, at, to);
        true
    }

    /// Ends the slices of a thread but for so many.
    fn close(&mut self, id: ThreadId, keep: usize, to: &mut To<'_>) {
        while let Some(thread) = self.threads.get_mut(&id)
            && thread.open.len() > keep
            && let Some(open) = thread.open.pop()
        {
            self.end(id, None, to);
            match open {
                Open::Region(_) | Open::Wait(_, None) => {}
                Open::Wait(_, Some(lock)) => self.waits(id, lock, -1, to),
                Open::Poll(task) if self.within(task) == Within::Poll(id) => {
                    self.close_future(id, task, to);
                }
                // It is polled elsewhere by now, as far as one knows.
                Open::Poll(_) => {}
            }
        }
    }

    fn within(&self, task: TaskId) -> Within {
        self.futures.get(&task).map_or(Within::Nothing, |future| future.within)
    }

    /// Ends what goes on in a future's life.
    fn close_future(&mut self, id: ThreadId, task: TaskId, to: &mut To<'_>) {
        if let Some(future) = self.futures.get_mut(&task)
            && mem::take(&mut future.within) != Within::Nothing
        {
            self.end(id, Some(Track::Future(task)), to);
        }
    }

    /// One more waits for a lock, or one less.
    fn waits(&mut self, id: ThreadId, number: usize, more: i64, to: &mut To<'_>) {
        let Some(lock) = self.locks.get_mut(number) else { return };
        lock.waiting += more;
        let counter = Some(lock.waiting);
        let track = Some(Track::Lock(number));
        self.say(id, Say { kind: proto::COUNTER, track, counter, ..Say::default() }, to);
    }
}

impl Encoder for Perfetto {
    fn begin(&mut self, beginning: Beginning, _: &mut Vec<u8>) {
        self.zero = beginning.monotonic;
        self.time = self.zero;
        self.wall = beginning.wall.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        self.process = beginning.process;
        let program = env::current_exe().ok();
        let name = program.as_deref().and_then(Path::file_name).unwrap_or_default();
        self.process_name = name.to_string_lossy().into_owned();
    }

    fn event(&mut self, event: Event, tables: &mut dyn Tables, out: &mut Vec<u8>) {
        self.time = self.time.max(self.zero + event.time);
        self.happened(event.thread, event.what, &mut To { tables, out });
    }

    fn end_generation(&mut self, time: u64, tables: &mut dyn Tables, out: &mut Vec<u8>) {
        // One without an event is there, too: readers refuse an empty file.
        self.open(tables, out);
        self.time = self.time.max(self.zero + time);
        self.generation += 1;
        self.described.clear();
    }

    fn finish(&mut self, _: &mut dyn Tables, _: &mut Vec<u8>) {
        // All that was begun has been written.
    }
}
