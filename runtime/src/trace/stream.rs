//! From the threads' buffers to one stream of events in the order of time.
use super::event::{Class, HUB, StringId, TaskId, ThreadId, What};
use super::pool::{self, Buffer};
use super::raw::{Kind, Reader};
use super::record;
use super::samples::{self, Sample};
use super::session::{Session, Who};
use super::tables::{Known, Map};

/// Bytes that are taken at once: an event takes some twenty times as much while it is handled.
const AT_ONCE: usize = 1 << 20;

/// How far a buffer has been read.
#[derive(Clone, Copy, Default)]
struct Read {
    bytes: usize,
    ticks: u64,
}

/// An event that nobody has been told of.
struct Pending {
    ticks: u64,
    thread: ThreadId,
    what: What,
    counts: bool,
    /// What a wait or a release is of.
    object: usize,
    /// Of a poll, whose it is.
    name: StringId,
    /// A message's.
    text: Option<Box<str>>,
}

/// What a thread is in the midst of, the innermost last: ends do not say of what.
#[derive(Default)]
struct Open {
    polls: Vec<TaskId>,
    regions: Vec<(TaskId, StringId)>,
}

/// What is taken from the buffers.
pub(super) struct Stream {
    pub(super) tables: Known,
    /// The recording that it began with; what is older is nobody's.
    first: u32,
    read: Map<usize, Read>,
    pending: Vec<Pending>,
    threads: Map<ThreadId, Who>,
    /// What goes on, as far as was read.
    open: Map<ThreadId, Open>,
    /// Bytes of the heap that are alive.
    heap: u64,
    /// Who waits, for what, and since when.
    waits: Map<ThreadId, (usize, u64)>,
}

impl Stream {
    pub(super) fn new(first: u32, tables: Known) -> Stream {
        Stream {
            tables,
            first,
            read: Map::default(),
            pending: Vec::new(),
            threads: Map::default(),
            open: Map::default(),
            heap: 0,
            waits: Map::default(),
        }
    }

    /// Takes what there is. It is `now`. If that is much it takes the oldest, and gives the time from which on something may
    /// be missing.
    pub(super) fn collect(&mut self, now: u64) -> Option<u64> {
        for Sample { tid, at, weight, stack } in samples::take() {
            let is_it = |who: &&Who| matches!(who.what, What::Thread { tid: theirs, .. } if theirs == tid);
            let known = self.threads.iter().find(|(_, who)| is_it(who)).map(|(&thread, _)| thread);
            let Some(thread) = known else { continue };
            let what = What::Sample { weight, stack: self.tables.stack(stack) };
            self.push(at, thread, what);
        }
        let bytes = crate::hook::alloc::live_bytes();
        if bytes != self.heap {
            self.heap = bytes;
            self.push(now, HUB, What::Heap { bytes });
        }
        let count = record::take_untold();
        if count > 0 {
            self.push(now, HUB, What::Lost { count });
        }
        let mut buffers: Vec<(&'static Buffer, bool)> =
            pool::all().filter_map(|buffer| Some((buffer, buffer.is_used()?))).collect();
        // The oldest first; of one thread that is their order, too.
        buffers.sort_unstable_by_key(|(buffer, _)| (buffer.began(), buffer.place()));
        let mut bytes = 0;
        for (buffer, is_full) in buffers {
            if buffer.recording().wrapping_sub(self.first) as i32 >= 0 {
                if bytes >= AT_ONCE {
                    return Some(buffer.began());
                }
                bytes += self.take(buffer);
            }
            if is_full {
                self.read.remove(&std::ptr::from_ref(buffer).addr());
                buffer.free();
            }
        }
        None
    }

    /// What goes on on a thread.
    fn open(&mut self, thread: ThreadId) -> &mut Open {
        self.open.entry(thread).or_default()
    }

    /// Something that no thread has noted.
    fn push(&mut self, ticks: u64, thread: ThreadId, what: What) {
        self.pending.push(Pending { ticks, thread, what, counts: false, object: 0, name: 0, text: None });
    }

    /// Takes what is new in it. Gives how many bytes that was.
    fn take(&mut self, buffer: &'static Buffer) -> usize {
        let key = std::ptr::from_ref(buffer).addr();
        let mut read = self.read.get(&key).copied().unwrap_or(Read { bytes: 0, ticks: buffer.began() });
        let written = buffer.written();
        let mut reader = Reader(written.get(read.bytes..).unwrap_or_default());
        while !reader.0.is_empty() {
            let Some(pending) = self.record(&mut reader, buffer.thread(), &mut read.ticks) else { break };
            self.pending.push(pending);
        }
        let new = written.len() - read.bytes.min(written.len());
        read.bytes = written.len();
        self.read.insert(key, read);
        new
    }

    /// The next record, if there is one.
    fn record(&mut self, from: &mut Reader<'_>, thread: ThreadId, ticks: &mut u64) -> Option<Pending> {
        let kind = from.kind()?;
        *ticks = ticks.wrapping_add(from.number()?);
        let (mut object, mut text, mut name) = (0, None, 0);
        let what = match kind {
            Kind::Thread => {
                // Another recording may have ended in the midst of something.
                self.open.remove(&thread);
                let tid = from.number()? as i32;
                let started = from.flag()?;
                let creator = self.tables.stack(from.address()?);
                let name = self.tables.intern(str::from_utf8(from.bytes()?).ok()?);
                self.threads
                    .insert(thread, Who { what: What::Thread { tid, name, started: false, creator } });
                What::Thread { tid, name, started, creator }
            }
            Kind::ThreadEnd => {
                self.open.remove(&thread);
                What::ThreadEnd
            }
            Kind::Lost => {
                // Which of them end is not known any more.
                *self.open(thread) = Open::default();
                What::Lost { count: from.number()? }
            }
            Kind::WaitBegin => {
                let class = from.class()?;
                let lock = from.number()? as u32;
                let name = self.tables.text(from.text()?);
                object = from.address()?;
                let name = if name == 0 { self.tables.lock(lock) } else { name };
                What::WaitBegin {
                    class,
                    name,
                    object: object as u64,
                    stack: self.tables.stack(from.address()?),
                }
            }
            Kind::WaitEnd => {
                let class = from.class()?;
                object = from.address()?;
                What::WaitEnd { class }
            }
            Kind::Release => {
                let class = from.class()?;
                let lock = from.number()? as u32;
                object = from.address()?;
                let stack = self.tables.stack(from.address()?);
                What::Wake { thread: 0, class, name: self.tables.lock(lock), stack }
            }
            Kind::TaskCreate => {
                let (task, parent) = (from.number()?, from.number()?);
                let name = self.tables.site(from.address()?);
                let spawned = from.flag()?;
                What::TaskCreate { task, parent, name, spawned, stack: self.tables.stack(from.address()?) }
            }
            Kind::TaskWake => {
                What::TaskWake { task: from.number()?, stack: self.tables.stack(from.address()?) }
            }
            Kind::PollBegin => {
                let task = from.number()?;
                name = self.tables.site(from.address()?);
                self.open(thread).polls.push(task);
                What::PollBegin { task }
            }
            Kind::Await => {
                let (task, class): (_, Class) = (from.number()?, from.class()?);
                What::Await { task, class, stack: self.tables.stack(from.address()?) }
            }
            Kind::PollPending | Kind::PollReady => {
                let task = self.open(thread).polls.pop().unwrap_or(0);
                What::PollEnd { task, ready: kind == Kind::PollReady }
            }
            Kind::TaskEnd => What::TaskEnd { task: from.number()?, cancelled: from.flag()? },
            Kind::ScopeBegin => What::ScopeBegin { name: self.tables.site(from.address()?), stack: 0 },
            Kind::ScopeEnd => What::ScopeEnd { name: self.tables.site(from.address()?) },
            Kind::UserTaskBegin => {
                let (task, parent) = (from.number()?, from.number()?);
                let name = self.tables.text(from.text()?);
                What::UserTaskBegin { task, parent, name, stack: self.tables.stack(from.address()?) }
            }
            Kind::UserTaskEnd => {
                let (task, name) = (from.number()?, self.tables.text(from.text()?));
                What::UserTaskEnd { task, name, stack: self.tables.stack(from.address()?) }
            }
            Kind::RegionBegin => {
                let (task, name) = (from.number()?, self.tables.text(from.text()?));
                self.open(thread).regions.push((task, name));
                What::RegionBegin { task, name, stack: 0 }
            }
            Kind::RegionEnd => {
                let (task, name) = self.open(thread).regions.pop().unwrap_or_default();
                What::RegionEnd { task, name }
            }
            Kind::Labels => {
                let pairs = crate::store::pairs(from.bytes()?).map(|(key, value)| format!("{key}={value}"));
                text = Some(pairs.collect::<Vec<_>>().join(",").into());
                What::Labels { labels: 0 }
            }
            Kind::Log => {
                let (task, category) = (from.number()?, self.tables.text(from.text()?));
                text = Some(str::from_utf8(from.bytes()?).ok()?.into());
                What::Log { task, category, message: 0, stack: 0 }
            }
        };
        Some(Pending { ticks: *ticks, thread, what, counts: kind.is_event(), object, name, text })
    }

    /// A session begins: what is only told when it changes is to be told to it, too.
    pub(super) fn tell_again(&mut self) {
        self.heap = 0;
        self.tables.refresh();
    }

    /// Tells the sessions of all that happened before `until`, in ticks.
    pub(super) fn tell(&mut self, until: u64, sessions: &mut [Session]) {
        // What a thread did stays in its order: the sort is stable.
        self.pending.sort_by_key(|pending| pending.ticks);
        self.pair();
        let ripe = self.pending.partition_point(|pending| pending.ticks.wrapping_sub(until) as i64 <= 0);
        for Pending { ticks, thread, mut what, counts, name, text, .. } in self.pending.drain(..ripe) {
            if let (What::Log { message: passing, .. } | What::Labels { labels: passing }, Some(text)) =
                (&mut what, &text)
            {
                *passing = self.tables.pass(text);
            }
            let who = self.threads.get(&thread).copied();
            for session in sessions.iter_mut() {
                session.event(ticks, thread, (what, counts, name), who, &mut self.tables);
            }
            if let What::ThreadEnd = what {
                self.threads.remove(&thread);
                self.waits.remove(&thread);
            }
        }
        for session in sessions {
            session.pass(until, &mut self.tables);
        }
    }

    /// Finds out whose wait each release ended: that of the one who goes on next, and had waited for it before.
    fn pair(&mut self) {
        let mut releases: Map<usize, usize> = Map::default();
        for at in 0..self.pending.len() {
            let Pending { ticks, thread, what, object, .. } = self.pending[at];
            match what {
                What::Wake { thread: 0, .. } => _ = releases.insert(object, at),
                What::WaitBegin { .. } => _ = self.waits.insert(thread, (object, ticks)),
                What::WaitEnd { .. } => {
                    let Some((waited_for, since)) = self.waits.remove(&thread) else { continue };
                    let Some(&release) = releases.get(&waited_for).filter(|_| waited_for != 0) else {
                        continue;
                    };
                    let by = &mut self.pending[release];
                    if by.ticks.wrapping_sub(since) as i64 >= 0 && by.thread != thread {
                        if let What::Wake { thread: woken, .. } = &mut by.what {
                            *woken = thread;
                        }
                        releases.remove(&waited_for);
                    }
                }
                _ => {}
            }
        }
    }
}
