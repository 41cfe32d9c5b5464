//! Go's execution trace, of version 1.23: what `go tool trace` reads.
//!
//! A thread is an M, has a P of its own for as long as it lives, and a goroutine, which stands for what runs on it. A future
//! that is polled is a goroutine, too, which runs instead of the thread's; one that is polled inside of it, and was not there
//! before, is a region of its. Waits are goroutines that block.
//!
//! Readers hold every event against the state of its goroutine, and refuse a whole file for one that does not fit. So the
//! state here is *what was written*, and each event is written together with whatever has to come before it: a goroutine
//! that is to wait runs, one that is to run was woken. What is missing in the stream makes a trace less exact, and never wrong.
mod state;
mod wire;

use super::event::{Beginning, Class, Encoder, Event, HUB, StringId, Tables, TaskId, ThreadId, What};
use super::tables::Map;
use state::{Goroutine, Poll, Proc, Status, Task, Thread};
use wire::{Batch, Dictionary};

/// The goroutine that is none.
const NOBODY: u64 = u64::MAX;

pub(super) struct Go {
    /// Nanoseconds at time 0: a time of 0 is none for readers.
    zero: u64,
    /// The time of the last event.
    time: u64,
    words: Dictionary,
    threads: Map<ThreadId, Thread>,
    tasks: Map<TaskId, Task>,
    goroutines: Map<u64, Goroutine>,
    last_goroutine: u64,
    procs: Vec<Proc>,
    /// Of what is on no thread.
    hub: Batch,
    /// Bytes in batches that were not written yet.
    held: usize,
}

/// What events go to, besides the state: what numbers stand for, and the bytes that are done.
struct To<'a> {
    tables: &'a mut dyn Tables,
    out: &'a mut Vec<u8>,
}

/// The hub's P.
const HUB_PROC: u64 = 0;
const HUB_THREAD: u64 = 0;

impl Go {
    pub(super) fn new() -> Go {
        Go {
            zero: 1,
            time: 1,
            words: Dictionary::new(1, 1),
            threads: Map::default(),
            tasks: Map::default(),
            goroutines: Map::default(),
            last_goroutine: 0,
            procs: vec![Proc { seq: 0, is_running: true }],
            hub: Batch::default(),
            held: 0,
        }
    }

    fn write(&mut self, thread: ThreadId, kind: u8, arguments: &[u64], out: &mut Vec<u8>) {
        let (time, generation) = (self.time, self.words.generation());
        let (batch, m) = match self.threads.get_mut(&thread) {
            Some(thread) => (&mut thread.batch, thread.m),
            None => (&mut self.hub, HUB_THREAD),
        };
        self.held += batch.event(kind, time, arguments);
        if batch.is_large() {
            self.held -= batch.write(generation, m, out);
        }
    }

    /// The goroutine that runs on a thread.
    fn running(&self, thread: ThreadId) -> Option<u64> {
        self.threads.get(&thread)?.running
    }

    fn status(&self, goroutine: u64) -> Option<Status> {
        Some(self.goroutines.get(&goroutine)?.status)
    }

    /// Creates a goroutine, said on a thread.
    fn create(&mut self, thread: ThreadId, name: StringId, creator: u32, to: &mut To<'_>) -> u64 {
        self.last_goroutine += 1;
        let goroutine = self.last_goroutine;
        let named = self.words.named(name, to.tables, to.out);
        let creator = self.words.stack(creator, to.tables, to.out);
        self.write(thread, wire::GO_CREATE, &[goroutine, named, creator], to.out);
        self.goroutines.insert(goroutine, Goroutine { name, ..Goroutine::default() });
        goroutine
    }

    /// Makes a goroutine that waits one that may run, said on a thread.
    fn unblock(&mut self, thread: ThreadId, goroutine: u64, stack: u32, to: &mut To<'_>) {
        let Some(state) = self.goroutines.get_mut(&goroutine).filter(|state| state.status == Status::Waiting)
        else {
            return;
        };
        state.status = Status::Runnable;
        state.seq += 1;
        let seq = state.seq;
        let stack = self.words.stack(stack, to.tables, to.out);
        self.write(thread, wire::GO_UNBLOCK, &[goroutine, seq, stack], to.out);
    }

    /// Has a goroutine run on a thread on which none does.
    fn start(&mut self, thread: ThreadId, goroutine: u64, to: &mut To<'_>) {
        self.unblock(thread, goroutine, 0, to);
        let Some(state) = self.goroutines.get_mut(&goroutine) else { return };
        state.status = Status::Running;
        state.seq += 1;
        let seq = state.seq;
        self.write(thread, wire::GO_START, &[goroutine, seq], to.out);
        if let Some(thread) = self.threads.get_mut(&thread) {
            thread.running = Some(goroutine);
        }
    }

    /// Has the goroutine that runs on a thread wait.
    fn block(&mut self, thread: ThreadId, reason: &str, stack: u32, to: &mut To<'_>) {
        let Some(goroutine) = self.threads.get_mut(&thread).and_then(|thread| thread.running.take()) else {
            return;
        };
        if let Some(state) = self.goroutines.get_mut(&goroutine) {
            state.status = Status::Waiting;
        }
        let reason = self.words.text(reason, to.out);
        let stack = self.words.stack(stack, to.tables, to.out);
        self.write(thread, wire::GO_BLOCK, &[reason, stack], to.out);
    }

    /// Ends the goroutine that runs on a thread.
    fn destroy(&mut self, thread: ThreadId, to: &mut To<'_>) {
        if let Some(goroutine) = self.threads.get_mut(&thread).and_then(|thread| thread.running.take()) {
            self.write(thread, wire::GO_DESTROY, &[], to.out);
            self.goroutines.remove(&goroutine);
        }
    }

    /// Sees to it that what the thread is at runs there: it does something, so it does not wait. `None`: it is not known.
    fn runs(&mut self, thread: ThreadId, to: &mut To<'_>) -> Option<u64> {
        let state = self.threads.get_mut(&thread)?;
        if let Some(running) = state.running {
            return Some(running);
        }
        (state.waits, state.waiting) = (0, 0);
        let goroutine = state.top();
        self.start(thread, goroutine, to);
        Some(goroutine)
    }

    /// Takes a goroutine off whatever thread it runs on, as far as is known.
    fn take_away(&mut self, goroutine: u64, to: &mut To<'_>) {
        if self.status(goroutine) != Some(Status::Running) {
            return;
        }
        let on = self.threads.iter().find(|(_, thread)| thread.running == Some(goroutine)).map(|(&id, _)| id);
        if let Some(on) = on {
            self.block(on, "unknown", 0, to);
        }
    }

    fn thread(&mut self, id: ThreadId, tid: i32, name: StringId, creator: u32, to: &mut To<'_>) {
        if self.threads.contains_key(&id) {
            return;
        }
        let free = (1..self.procs.len()).find(|&at| !self.procs[at].is_running);
        let proc = free.unwrap_or(self.procs.len());
        let thread =
            Thread { m: tid as u64, proc: proc as u64, own: self.last_goroutine + 1, ..Thread::default() };
        self.threads.insert(id, thread);
        if let Some(at) = free {
            self.procs[at].is_running = true;
            self.procs[at].seq += 1;
            self.write(id, wire::PROC_START, &[at as u64, self.procs[at].seq], to.out);
        } else {
            self.procs.push(Proc { seq: 0, is_running: true });
            self.write(id, wire::PROC_STATUS, &[proc as u64, state::PROC_RUNNING], to.out);
        }
        let own = self.create(id, name, creator, to);
        self.start(id, own, to);
    }

    fn thread_ends(&mut self, id: ThreadId, to: &mut To<'_>) {
        self.forget_polls(id, to);
        if self.runs(id, to).is_none() {
            return;
        }
        self.destroy(id, to);
        self.write(id, wire::PROC_STOP, &[], to.out);
        if let Some(mut thread) = self.threads.remove(&id) {
            self.held -= thread.batch.write(self.words.generation(), thread.m, to.out);
            self.procs[thread.proc as usize].is_running = false;
        }
    }

    /// What a thread was at is not known any more.
    fn forget_polls(&mut self, id: ThreadId, to: &mut To<'_>) {
        while let Some(poll) = self.threads.get_mut(&id).and_then(|thread| thread.polls.pop()) {
            self.leave(id, poll, None, to);
        }
    }

    /// A poll ends that was the thread's innermost: its future waits for `reason`, or is ready.
    fn leave(&mut self, id: ThreadId, poll: Poll, reason: Option<(&str, u32)>, to: &mut To<'_>) {
        match poll.goroutine {
            None => self.region_end(id, poll.name, to),
            Some(goroutine) => {
                if self.running(id).is_none() && self.status(goroutine) != Some(Status::Running) {
                    // It waited when its poll ended: that one of the two was not seen.
                    self.start(id, goroutine, to);
                }
                match reason {
                    Some((reason, stack)) => self.block(id, reason, stack, to),
                    None => self.block(id, "unknown", 0, to),
                }
                // The one around it goes on.
                self.runs(id, to);
            }
        }
    }

    fn poll_begins(&mut self, id: ThreadId, task: TaskId, to: &mut To<'_>) {
        if self.runs(id, to).is_none() {
            return;
        }
        let state = self.tasks.entry(task).or_default();
        let (name, known, stack) = (state.name, state.goroutine, state.stack);
        state.await_ = None;
        let is_inside = self.threads.get(&id).is_some_and(|thread| !thread.polls.is_empty());
        if known.is_none() && is_inside {
            self.region_begin(id, 0, name, 0, to);
            return self.push(id, Poll { task, goroutine: None, name });
        }
        let goroutine = match known {
            Some(goroutine) => goroutine,
            None => {
                let goroutine = self.create(id, name, stack, to);
                self.tasks.entry(task).or_default().goroutine = Some(goroutine);
                goroutine
            }
        };
        self.take_away(goroutine, to);
        self.block(id, "polls", 0, to);
        self.start(id, goroutine, to);
        self.push(id, Poll { task, goroutine: Some(goroutine), name });
    }

    fn push(&mut self, id: ThreadId, poll: Poll) {
        if let Some(thread) = self.threads.get_mut(&id) {
            thread.polls.push(poll);
        }
    }

    /// The poll of `task` that a thread is in, those inside of it being over.
    fn pop(&mut self, id: ThreadId, task: TaskId, to: &mut To<'_>) -> Option<Poll> {
        let at = self.threads.get(&id)?.polls.iter().rposition(|poll| poll.task == task)?;
        while self.threads.get(&id)?.polls.len() > at + 1 {
            let inner = self.threads.get_mut(&id)?.polls.pop()?;
            self.leave(id, inner, None, to);
        }
        self.runs(id, to);
        self.threads.get_mut(&id)?.polls.pop()
    }

    fn poll_ends(&mut self, id: ThreadId, task: TaskId, ready: bool, to: &mut To<'_>) {
        let Some(poll) = self.pop(id, task, to) else { return };
        if ready && poll.goroutine.is_some() {
            self.destroy(id, to);
            if let Some(task) = self.tasks.get_mut(&task) {
                task.goroutine = None;
            }
            self.runs(id, to);
            return;
        }
        let (class, stack) = self.tasks.get(&task).and_then(|task| task.await_).unwrap_or((Class::Await, 0));
        self.leave(id, poll, Some((&reason(class, ""), stack)), to);
    }

    fn task_ends(&mut self, id: ThreadId, task: TaskId, to: &mut To<'_>) {
        if let Some(poll) = self.pop(id, task, to) {
            // Dropped in the midst of its own poll.
            match poll.goroutine {
                Some(_) => self.destroy(id, to),
                None => self.region_end(id, poll.name, to),
            }
            self.runs(id, to);
        } else if let Some(goroutine) = self.tasks.get(&task).and_then(|task| task.goroutine)
            && self.runs(id, to).is_some()
        {
            // Only who runs can end.
            self.take_away(goroutine, to);
            self.block(id, "drops", 0, to);
            self.start(id, goroutine, to);
            self.destroy(id, to);
            self.runs(id, to);
        }
        self.tasks.remove(&task);
    }

    fn region_begin(&mut self, id: ThreadId, task: TaskId, name: StringId, stack: u32, to: &mut To<'_>) {
        let Some(goroutine) = self.runs(id, to) else { return };
        let word = self.words.string(name, to.tables, to.out);
        let stack = self.words.stack(stack, to.tables, to.out);
        self.write(id, wire::REGION_BEGIN, &[task, word, stack], to.out);
        if let Some(state) = self.goroutines.get_mut(&goroutine) {
            state.regions.push((task, name));
        }
    }

    /// Ends the region of this name, and those in it. One that began before anybody recorded is none.
    fn region_end(&mut self, id: ThreadId, name: StringId, to: &mut To<'_>) {
        let Some(goroutine) = self.runs(id, to) else { return };
        let Some(state) = self.goroutines.get_mut(&goroutine) else { return };
        let Some(at) = state.regions.iter().rposition(|&(_, known)| known == name) else { return };
        let ended = state.regions.split_off(at);
        for (task, name) in ended.into_iter().rev() {
            let name = self.words.string(name, to.tables, to.out);
            self.write(id, wire::REGION_END, &[task, name, 0], to.out);
        }
    }

    fn wait_begins(&mut self, id: ThreadId, class: Class, name: StringId, stack: u32, to: &mut To<'_>) {
        if class == Class::Region {
            // The program goes on in there.
            if let Some(thread) = self.threads.get_mut(&id) {
                thread.regions.push(name);
            }
            return self.region_begin(id, 0, name, stack, to);
        }
        let Some(thread) = self.threads.get_mut(&id) else { return };
        if thread.waits > 0 {
            thread.waits += 1;
            return;
        }
        let Some(goroutine) = self.runs(id, to) else { return };
        let reason = reason(class, to.tables.string(name));
        self.block(id, &reason, stack, to);
        if let Some(thread) = self.threads.get_mut(&id) {
            (thread.waits, thread.waiting) = (1, goroutine);
        }
    }

    fn wait_ends(&mut self, id: ThreadId, class: Class, to: &mut To<'_>) {
        let Some(thread) = self.threads.get_mut(&id) else { return };
        if class == Class::Region {
            // One that ends on another thread than it began on goes on until what is around it ends.
            if let Some(name) = thread.regions.pop() {
                self.region_end(id, name, to);
            }
            return;
        }
        thread.waits = thread.waits.saturating_sub(1);
        if thread.waits == 0 {
            self.runs(id, to);
        }
    }

    fn lost(&mut self, id: ThreadId, count: u64, to: &mut To<'_>) {
        let nobodys = (id == HUB).then(|| self.create(HUB, 0, 0, to));
        if let Some(nobody) = nobodys {
            self.start(HUB, nobody, to);
        } else {
            self.forget(id, to);
        }
        let category = self.words.text("profiled", to.out);
        let message = self.words.once(&format!("{count} events lost"), to.out);
        if nobodys.is_some() || self.running(id).is_some() {
            self.write(id, wire::LOG, &[0, category, message, 0], to.out);
        }
        if let Some(nobody) = nobodys {
            self.write(HUB, wire::GO_DESTROY, &[], to.out);
            self.goroutines.remove(&nobody);
        }
    }

    /// What a thread was at, and in, is not known any more.
    fn forget(&mut self, id: ThreadId, to: &mut To<'_>) {
        self.forget_polls(id, to);
        let Some(goroutine) = self.runs(id, to) else { return };
        let open = self.goroutines.get(&goroutine).and_then(|state| state.regions.first().copied());
        if let Some((_, name)) = open {
            let first = |state: &Goroutine| state.regions.first().is_some_and(|&(_, known)| known == name);
            while self.goroutines.get(&goroutine).is_some_and(first) {
                self.region_end(id, name, to);
            }
        }
    }

    fn happened(&mut self, id: ThreadId, what: What, to: &mut To<'_>) {
        match what {
            What::Thread { tid, name, creator, .. } => self.thread(id, tid, name, creator, to),
            What::ThreadName { name } => {
                let name = self.words.string(name, to.tables, to.out);
                if self.runs(id, to).is_some() {
                    self.write(id, wire::LABEL, &[name], to.out);
                }
            }
            What::ThreadEnd => self.thread_ends(id, to),
            What::Lost { count } => self.lost(id, count, to),
            What::WaitBegin { class, name, stack, .. } => self.wait_begins(id, class, name, stack, to),
            What::WaitEnd { class } => self.wait_ends(id, class, to),
            What::Wake { thread, stack, .. } => {
                if let Some(woken) = self.threads.get(&thread).filter(|thread| thread.waits > 0) {
                    self.unblock(id, woken.waiting, stack, to);
                }
            }
            What::TaskCreate { task, name, spawned, stack, .. } => {
                self.tasks.insert(task, Task { name, stack, ..Task::default() });
                if spawned && self.runs(id, to).is_some() {
                    let goroutine = self.create(id, name, stack, to);
                    self.tasks.entry(task).or_default().goroutine = Some(goroutine);
                }
            }
            What::TaskWake { task, stack } => {
                if let Some(goroutine) = self.tasks.get(&task).and_then(|task| task.goroutine) {
                    self.unblock(id, goroutine, stack, to);
                }
            }
            What::PollBegin { task } => self.poll_begins(id, task, to),
            What::Await { task, class, stack } => {
                if let Some(task) = self.tasks.get_mut(&task) {
                    task.await_ = Some((class, stack));
                }
            }
            What::PollEnd { task, ready } => self.poll_ends(id, task, ready, to),
            What::TaskEnd { task, .. } => self.task_ends(id, task, to),
            What::ScopeBegin { name, stack } => self.region_begin(id, 0, name, stack, to),
            What::ScopeEnd { name } => self.region_end(id, name, to),
            What::UserTaskBegin { task, parent, name, stack } => {
                if self.runs(id, to).is_some() {
                    let name = self.words.string(name, to.tables, to.out);
                    let stack = self.words.stack(stack, to.tables, to.out);
                    self.write(id, wire::TASK_BEGIN, &[task, parent, name, stack], to.out);
                }
            }
            What::UserTaskEnd { task, stack, .. } => {
                if self.runs(id, to).is_some() {
                    let stack = self.words.stack(stack, to.tables, to.out);
                    self.write(id, wire::TASK_END, &[task, stack], to.out);
                }
            }
            What::RegionBegin { task, name, stack } => self.region_begin(id, task, name, stack, to),
            What::RegionEnd { name, .. } => self.region_end(id, name, to),
            What::Log { task, category, message, stack } => {
                if self.runs(id, to).is_some() {
                    let category = self.words.string(category, to.tables, to.out);
                    let message = self.words.once(to.tables.string(message), to.out);
                    let stack = self.words.stack(stack, to.tables, to.out);
                    self.write(id, wire::LOG, &[task, category, message, stack], to.out);
                }
            }
            What::Labels { labels } => {
                if self.runs(id, to).is_some() {
                    let category = self.words.text("labels", to.out);
                    let message = self.words.once(to.tables.string(labels), to.out);
                    self.write(id, wire::LOG, &[0, category, message, 0], to.out);
                }
            }
            What::Heap { bytes } => self.write(HUB, wire::HEAP, &[bytes], to.out),
            What::Sample { weight, stack } => {
                let Some(thread) = self.threads.get(&id) else { return };
                let on = [thread.m, thread.proc, thread.running.unwrap_or(0)];
                let stack = self.words.stack(stack, to.tables, to.out);
                (0..weight.min(1000)).for_each(|_| self.words.sample(self.time, on, stack, to.out));
            }
        }
    }

    /// Says in a new generation what there is.
    fn say_all(&mut self, tables: &dyn Tables, out: &mut Vec<u8>) {
        self.write(HUB, wire::PROC_STATUS, &[HUB_PROC, state::PROC_RUNNING], out);
        for at in 1..self.procs.len() {
            self.procs[at].seq = 0;
            if !self.procs[at].is_running {
                self.write(HUB, wire::PROC_STATUS, &[at as u64, state::PROC_IDLE], out);
            }
        }
        self.goroutines.values_mut().for_each(|state| state.seq = 0);
        let mut threads: Vec<ThreadId> = self.threads.keys().copied().collect();
        threads.sort_unstable();
        for id in threads {
            let Some(&Thread { m, proc, running, .. }) = self.threads.get(&id) else { continue };
            self.write(id, wire::PROC_STATUS, &[proc, state::PROC_RUNNING], out);
            if let Some(running) = running {
                self.say(id, running, m, tables, out);
            }
        }
        let is_off =
            |(&goroutine, state): (&u64, &Goroutine)| (state.status != Status::Running).then_some(goroutine);
        let mut others: Vec<u64> = self.goroutines.iter().filter_map(is_off).collect();
        others.sort_unstable();
        for goroutine in others {
            self.say(HUB, goroutine, NOBODY, tables, out);
        }
    }

    /// Says of a goroutine what it is called, and whether it runs: where it was created may be in none of the generations that
    /// are read.
    fn say(&mut self, on: ThreadId, goroutine: u64, m: u64, tables: &dyn Tables, out: &mut Vec<u8>) {
        let Some(&Goroutine { name, status, .. }) = self.goroutines.get(&goroutine) else { return };
        let named = self.words.named(name, tables, out);
        self.write(on, wire::GO_STATUS_STACK, &[goroutine, m, status as u64, named], out);
    }

    fn write_generation(&mut self, next: Dictionary, out: &mut Vec<u8>) {
        let words = std::mem::replace(&mut self.words, next);
        let generation = words.generation();
        self.held -= self.hub.write(generation, HUB_THREAD, out);
        let mut threads: Vec<&mut Thread> = self.threads.values_mut().collect();
        threads.sort_unstable_by_key(|thread| thread.proc);
        for thread in threads {
            self.held -= thread.batch.write(generation, thread.m, out);
        }
        words.write(out);
    }
}

/// Why a goroutine waits. Readers count as waits for locks what has `sync`, `chan` or `select` in it.
fn reason(class: Class, name: &str) -> String {
    let what = match class {
        Class::Mutex
        | Class::RwLockRead
        | Class::RwLockWrite
        | Class::Condvar
        | Class::Once
        | Class::Barrier
        | Class::Semaphore
        | Class::Notify
        | Class::Park
        | Class::Join
        | Class::Futex => format!("sync: {}", class.name()),
        Class::ChannelReceive => "chan receive".to_owned(),
        Class::ChannelSend => "chan send".to_owned(),
        Class::Other => "sync".to_owned(),
        Class::Sleep | Class::Region | Class::Await => class.name().to_owned(),
    };
    if name.is_empty() { what } else { format!("{what} {name}") }
}

impl Encoder for Go {
    fn begin(&mut self, beginning: Beginning, out: &mut Vec<u8>) {
        out.extend_from_slice(wire::HEADER);
        self.zero = beginning.monotonic.max(1);
        self.time = self.zero;
        self.words = Dictionary::new(1, self.time);
        self.write(HUB, wire::PROC_STATUS, &[HUB_PROC, state::PROC_RUNNING], out);
    }

    fn event(&mut self, event: Event, tables: &mut dyn Tables, out: &mut Vec<u8>) {
        self.time = self.time.max(self.zero + event.time);
        self.happened(event.thread, event.what, &mut To { tables, out });
    }

    fn end_generation(&mut self, time: u64, _: &mut dyn Tables, out: &mut Vec<u8>) {
        self.time = self.time.max(self.zero + time);
        let next = Dictionary::new(self.words.generation() + 1, self.time);
        self.write_generation(next, out);
    }

    fn begin_generation(&mut self, tables: &mut dyn Tables, out: &mut Vec<u8>) {
        self.say_all(tables, out);
    }

    fn held(&self) -> usize {
        self.held + self.words.held() + (self.threads.len() + 1) * wire::BATCH_HEADER
    }

    fn opening(&self) -> usize {
        // Kind, time, goroutine, thread, state, stack.
        let status =
            1 + 1 + wire::len(self.last_goroutine) + 10 + 1 + wire::len(self.goroutines.len() as u64);
        let batches = (self.threads.len() + 5) * wire::BATCH_HEADER;
        self.goroutines.len() * status + self.procs.len() * 16 + batches + self.words.names()
    }

    fn finish(&mut self, _: &mut dyn Tables, _: &mut Vec<u8>) {
        // All generations have been written.
    }
}
