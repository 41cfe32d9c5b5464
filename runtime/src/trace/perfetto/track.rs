//! Tracks: who they are, and what is open on those of threads.
use super::super::event::{Class, StringId, TaskId, ThreadId};
use super::proto::{self, TrackDescriptor};
use super::sequence::Sequence;

/// A track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Track {
    Process,
    Heap,
    /// What those of futures are under, those of users' tasks, those of locks.
    Futures,
    Tasks,
    Locks,
    Thread(ThreadId),
    Future(TaskId),
    Task(TaskId),
    /// By a number of ours.
    Lock(usize),
}

impl Track {
    /// Never 0, which is everybody's.
    pub(super) fn uuid(self) -> u64 {
        let (kind, number) = match self {
            Track::Process => (0, 1),
            Track::Heap => (0, 2),
            Track::Futures => (0, 3),
            Track::Tasks => (0, 4),
            Track::Locks => (0, 5),
            Track::Thread(thread) => (1, u64::from(thread)),
            Track::Future(task) => (2, task),
            Track::Task(task) => (3, task),
            Track::Lock(number) => (4, number as u64),
        };
        number << 3 | kind
    }

    pub(super) fn parent(self) -> Option<Track> {
        match self {
            Track::Process => None,
            Track::Heap | Track::Futures | Track::Tasks | Track::Locks | Track::Thread(_) => {
                Some(Track::Process)
            }
            Track::Future(_) => Some(Track::Futures),
            Track::Task(_) => Some(Track::Tasks),
            Track::Lock(_) => Some(Track::Locks),
        }
    }

    /// Its descriptor, with a name if that is always the same.
    pub(super) fn descriptor(self) -> TrackDescriptor {
        let (name, unit) = match self {
            Track::Heap => ("heap", Some(proto::BYTES)),
            Track::Futures => ("futures", None),
            Track::Tasks => ("tasks", None),
            Track::Locks => ("waiting for locks", None),
            Track::Lock(_) => ("", Some(proto::COUNT)),
            Track::Process | Track::Thread(_) | Track::Future(_) | Track::Task(_) => ("", None),
        };
        TrackDescriptor {
            uuid: self.uuid(),
            name: name.to_owned(),
            parent: self.parent().map_or(0, Track::uuid),
            counter: unit.map(|unit| proto::Counter { unit }),
            ..TrackDescriptor::default()
        }
    }
}

/// What goes on on a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// A function or a region.
    Region(StringId),
    /// A wait, and for which lock if there is a track of it.
    Wait(Class, Option<usize>),
    Poll(TaskId),
}

pub(super) struct Thread {
    pub(super) sequence: Sequence,
    /// The system's number.
    pub(super) tid: i32,
    pub(super) name: StringId,
    /// The outermost first: its slices, to be ended from the end.
    pub(super) open: Vec<Open>,
    /// Who woke it from its wait, as a flow.
    pub(super) woken: Option<u64>,
}

/// The slice that goes on in that of a future's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Within {
    #[default]
    Nothing,
    Poll(ThreadId),
    Await,
}

/// A future.
#[derive(Default)]
pub(super) struct Future {
    pub(super) name: StringId,
    /// The slice that is its life goes on.
    pub(super) is_begun: bool,
    pub(super) within: Within,
    /// From who spawned or woke it to its next poll.
    pub(super) woken: Option<u64>,
    /// What it said that it waits for, in the poll that goes on.
    pub(super) await_: Option<(Class, u32)>,
}

/// What is waited for.
pub(super) struct Lock {
    /// Its address.
    pub(super) object: u64,
    pub(super) name: StringId,
    pub(super) class: Class,
    pub(super) waiting: i64,
}
