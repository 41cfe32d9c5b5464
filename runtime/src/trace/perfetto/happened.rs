//! What each event is on tracks.
use super::super::event::{Class, HUB, StackId, StringId, TaskId, ThreadId, What};
use super::proto::{self, Packet, PerfSample};
use super::sequence::{Name, Sequence};
use super::track::{Future, Lock, Open, Thread, Track, Within};
use super::{Perfetto, Say, To, flow_of};

/// What somebody does who ends another one's wait.
fn deed(class: Class) -> &'static str {
    match class {
        Class::Mutex | Class::RwLockRead | Class::RwLockWrite => "unlock",
        Class::Condvar | Class::Notify => "notify",
        Class::ChannelReceive => "send",
        Class::ChannelSend => "receive",
        Class::Semaphore => "release",
        Class::Park => "unpark",
        _ => "wake",
    }
}

/// What it has then who waited.
fn outcome(class: Class) -> &'static str {
    match class {
        Class::Mutex | Class::RwLockRead | Class::RwLockWrite | Class::Semaphore => "acquired",
        _ => "woken",
    }
}

impl Perfetto {
    pub(super) fn happened(&mut self, id: ThreadId, what: What, to: &mut To<'_>) {
        match what {
            What::Thread { tid, name, started, creator } => {
                let open = Vec::new();
                let sequence = Sequence::new(id.wrapping_add(1), Track::Thread(id).uuid());
                let thread = || Thread { sequence, tid, name, open, woken: None };
                self.threads.entry(id).or_insert_with(thread);
                if started {
                    self.instant(id, "started", Say { stack: creator, ..Say::default() }, to);
                } else {
                    self.begin(id, to);
                }
            }
            What::ThreadName { name } => {
                if let Some(thread) = self.threads.get_mut(&id) {
                    thread.name = name;
                    self.described.remove(&Track::Thread(id).uuid());
                    self.open(to.tables, to.out);
                    self.describe(Track::Thread(id), to.tables, to.out);
                }
            }
            What::ThreadEnd => {
                self.close(id, 0, to);
                self.threads.remove(&id);
            }
            What::Lost { count } => self.lost(id, count, to),
            What::WaitBegin { class, name, object, stack } => {
                self.wait_begins(id, class, name, object, stack, to);
            }
            What::WaitEnd { class } => self.wait_ends(id, class, to),
            What::Wake { thread, class, name, stack } => {
                let flow = Some(self.new_flow());
                if let Some(woken) = self.threads.get_mut(&thread) {
                    woken.woken = flow;
                }
                let text = (name != 0).then_some(("lock", name));
                self.instant(id, deed(class), Say { stack, flow, text, ..Say::default() }, to);
            }
            What::TaskCreate { task, name, spawned, stack, .. } => {
                self.futures.insert(task, Future { name, ..Future::default() });
                self.future_begins(id, task, stack, to);
                if spawned {
                    self.wakes(id, "spawn", task, stack, to);
                }
            }
            What::TaskWake { task, stack } => self.wakes(id, "wake", task, stack, to),
            What::PollBegin { task } => self.poll_begins(id, task, to),
            What::Await { task, class, stack } => {
                if let Some(future) = self.futures.get_mut(&task) {
                    future.await_ = Some((class, stack));
                }
            }
            What::PollEnd { task, ready } => self.poll_ends(id, task, ready, to),
            What::TaskEnd { task, cancelled } => self.future_ends(id, task, cancelled, to),
            What::ScopeBegin { name, stack } => self.region_begins(id, 0, name, stack, to),
            What::RegionBegin { task, name, stack } => self.region_begins(id, task, name, stack, to),
            What::ScopeEnd { name } | What::RegionEnd { name, .. } => {
                self.pop(id, |open| open == Open::Region(name), to);
            }
            What::UserTaskBegin { task, parent, name, stack } => {
                self.tasks.insert(task, name);
                let name = Name::String(name);
                let number = (parent != 0).then_some(("parent", parent));
                let (track, flow) = (Some(Track::Task(task)), flow_of(task));
                self.say(
                    id,
                    Say { kind: proto::BEGIN, track, name, stack, flow, number, ..Say::default() },
                    to,
                );
            }
            What::UserTaskEnd { task, .. } => {
                // Without its begin nobody would know what it is of.
                if self.tasks.contains_key(&task) {
                    self.end(id, Some(Track::Task(task)), to);
                    self.tasks.remove(&task);
                }
            }
            What::Log { task, category, message, stack } => {
                let number = (task != 0).then_some(("task", task));
                let text = Some(("message", message));
                let name = Name::String(category);
                let log = Say { kind: proto::INSTANT, name, stack, number, text, ..Say::default() };
                self.say(id, log, to);
            }
            What::Labels { labels } => {
                self.instant(id, "labels", Say { text: Some(("labels", labels)), ..Say::default() }, to);
            }
            What::Heap { bytes } => {
                let (track, counter) = (Some(Track::Heap), Some(bytes as i64));
                self.say(HUB, Say { kind: proto::COUNTER, track, counter, ..Say::default() }, to);
            }
            What::Sample { weight, stack } => self.sample(id, weight, stack, to),
        }
    }

    fn lost(&mut self, id: ThreadId, count: u64, to: &mut To<'_>) {
        self.lost += count;
        // What the thread was at is not known any more.
        self.close(id, 0, to);
        match self.threads.get_mut(&id) {
            Some(thread) => {
                thread.woken = None;
                thread.sequence.has_lost = true;
            }
            None => self.hub.has_lost = true,
        }
        let on = if self.threads.contains_key(&id) { id } else { HUB };
        self.instant(on, "events lost", Say { number: Some(("count", count)), ..Say::default() }, to);
        let buffers = vec![proto::BufferStats { lost: self.lost }];
        let stats = Some(Box::new(proto::TraceStats { buffers }));
        super::sequence::write(&Packet { sequence: HUB + 1, stats, ..Packet::default() }, to.out);
    }

    fn region_begins(&mut self, id: ThreadId, task: TaskId, name: StringId, stack: StackId, to: &mut To<'_>) {
        let flow = flow_of(task);
        self.push(
            id,
            Open::Region(name),
            Say { name: Name::String(name), stack, flow, ..Say::default() },
            to,
        );
    }

    fn wait_begins(
        &mut self,
        id: ThreadId,
        class: Class,
        name: StringId,
        object: u64,
        stack: StackId,
        to: &mut To<'_>,
    ) {
        let Some(thread) = self.threads.get_mut(&id) else { return };
        thread.woken = None;
        let lock = (object != 0).then(|| {
            *self.lock_numbers.entry((object, name)).or_insert_with(|| {
                self.locks.push(Lock { object, name, class, waiting: 0 });
                self.locks.len() - 1
            })
        });
        let named = match class {
            // The program goes on in there.
            Class::Region => Name::String(name),
            class => Name::Wait(class, name),
        };
        self.push(id, Open::Wait(class, lock), Say { name: named, stack, ..Say::default() }, to);
        if let Some(lock) = lock {
            self.waits(id, lock, 1, to);
        }
    }

    fn wait_ends(&mut self, id: ThreadId, class: Class, to: &mut To<'_>) {
        // One that ends on another thread than it began on goes on until what is around it ends.
        self.pop(id, |open| matches!(open, Open::Wait(of, _) if of == class), to);
        let woken = self.threads.get_mut(&id).and_then(|thread| thread.woken.take());
        if woken.is_some() {
            // At an end a flow would be that of the begin.
            self.instant(id, outcome(class), Say { last_of_flow: woken, ..Say::default() }, to);
        }
    }

    /// Begins the slice that is a future's life. Readers put futures of one name into as few rows as there were at a time: what
    /// is one future's is what is in its slice.
    fn future_begins(&mut self, id: ThreadId, task: TaskId, stack: StackId, to: &mut To<'_>) {
        let Some(future) = self.futures.get_mut(&task).filter(|future| !future.is_begun) else { return };
        future.is_begun = true;
        let (track, name) = (Some(Track::Future(task)), Name::String(future.name));
        let number = Some(("future", task));
        self.say(id, Say { kind: proto::BEGIN, track, name, stack, number, ..Say::default() }, to);
    }

    fn future_ends(&mut self, id: ThreadId, task: TaskId, cancelled: bool, to: &mut To<'_>) {
        // Perhaps in the midst of its own poll.
        self.pop(id, |open| open == Open::Poll(task), to);
        self.close_future(id, task, to);
        let track = Some(Track::Future(task));
        if cancelled {
            self.instant(id, "cancelled", Say { track, ..Say::default() }, to);
        }
        if self.futures.get(&task).is_some_and(|future| future.is_begun) {
            self.end(id, track, to);
        }
        self.futures.remove(&task);
    }

    /// Somebody has a future polled.
    fn wakes(&mut self, id: ThreadId, how: &'static str, task: TaskId, stack: StackId, to: &mut To<'_>) {
        let new = self.new_flow();
        let Some(future) = self.futures.get_mut(&task) else { return };
        // It is polled because of the first.
        let flow = future.woken.is_none().then_some(new);
        future.woken = future.woken.or(flow);
        let text = Some(("future", future.name));
        self.instant(id, how, Say { stack, flow, text, ..Say::default() }, to);
    }

    fn poll_begins(&mut self, id: ThreadId, task: TaskId, to: &mut To<'_>) {
        let Some(tid) = self.threads.get(&id).map(|thread| thread.tid) else { return };
        self.close_future(id, task, to);
        self.futures.entry(task).or_default();
        self.future_begins(id, task, 0, to);
        let Some(future) = self.futures.get_mut(&task) else { return };
        future.within = Within::Poll(id);
        future.await_ = None;
        let (name, last_of_flow) = (Name::String(future.name), future.woken.take());
        self.push(id, Open::Poll(task), Say { name, ..Say::default() }, to);
        let (track, name) = (Some(Track::Future(task)), Name::Fixed("poll"));
        let number = Some(("tid", tid as u64));
        self.say(id, Say { kind: proto::BEGIN, track, name, last_of_flow, number, ..Say::default() }, to);
    }

    fn poll_ends(&mut self, id: ThreadId, task: TaskId, ready: bool, to: &mut To<'_>) {
        let is_its = self.within(task) == Within::Poll(id);
        self.pop(id, |open| open == Open::Poll(task), to);
        let Some(future) = self.futures.get_mut(&task).filter(|_| is_its && !ready) else { return };
        future.within = Within::Await;
        let (class, stack) = future.await_.take().unwrap_or((Class::Await, 0));
        let (track, name) = (Some(Track::Future(task)), Name::Await(class));
        self.say(id, Say { kind: proto::BEGIN, track, name, stack, ..Say::default() }, to);
    }

    fn sample(&mut self, id: ThreadId, weight: u32, stack: StackId, to: &mut To<'_>) {
        if id == HUB || !self.begin(id, to) {
            return;
        }
        let Some(thread) = self.threads.get_mut(&id) else { return };
        let mut news = None;
        let stack = thread.sequence.stack(stack, &mut self.words, to.tables, &mut news);
        let sample = PerfSample {
            pid: self.process,
            tid: thread.tid as u32,
            stack,
            mode: proto::USER,
            count: weight.into(),
        };
        let packet = Packet { sample: Some(sample), interned: news, ..Packet::default() };
        thread.sequence.packet(packet, self.time, to.out);
    }
}
