//! What was written of threads, goroutines and processors.
use super::super::event::{Class, StackId, StringId, TaskId};
use super::wire::Batch;

pub(super) const PROC_RUNNING: u64 = 1;
pub(super) const PROC_IDLE: u64 = 2;

/// As the format numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Status {
    #[default]
    Runnable = 1,
    Running = 2,
    Waiting = 4,
}

#[derive(Default)]
pub(super) struct Goroutine {
    pub(super) name: StringId,
    pub(super) status: Status,
    /// Counts its starts and wakes, in each generation from 0.
    pub(super) seq: u64,
    /// Those that it is in, the outermost first.
    pub(super) regions: Vec<(TaskId, StringId)>,
}

/// A processor: there is one for each thread, and one that is not needed any more is the next thread's.
#[derive(Clone, Copy)]
pub(super) struct Proc {
    pub(super) seq: u64,
    pub(super) is_running: bool,
}

/// A poll that goes on.
#[derive(Clone, Copy)]
pub(super) struct Poll {
    pub(super) task: TaskId,
    /// `None` if it is a region of the one around it.
    pub(super) goroutine: Option<u64>,
    pub(super) name: StringId,
}

#[derive(Default)]
pub(super) struct Thread {
    /// The system's number.
    pub(super) m: u64,
    pub(super) proc: u64,
    /// The goroutine that stands for what runs outside of futures.
    pub(super) own: u64,
    pub(super) running: Option<u64>,
    pub(super) polls: Vec<Poll>,
    /// Waits that go on, one inside of another, and whose they are.
    pub(super) waits: u32,
    pub(super) waiting: u64,
    /// Of regions that are waits.
    pub(super) regions: Vec<StringId>,
    pub(super) batch: Batch,
}

impl Thread {
    /// The goroutine that the thread is at.
    pub(super) fn top(&self) -> u64 {
        self.polls.iter().rev().find_map(|poll| poll.goroutine).unwrap_or(self.own)
    }
}

/// A future.
#[derive(Default)]
pub(super) struct Task {
    pub(super) name: StringId,
    /// Where it was made.
    pub(super) stack: StackId,
    /// While it is one.
    pub(super) goroutine: Option<u64>,
    /// What it said that it waits for, in the poll that goes on or in the last one.
    pub(super) await_: Option<(Class, StackId)>,
}
