//! What HTTP asks recorders.
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::trigger::{self, Shared};
use super::{Cause, Format, Snapshot, Status};
use crate::record::Fact;

/// What HTTP has to say of a recorder's trigger.
pub(crate) enum Answer {
    /// The snapshot itself.
    Snapshot(Snapshot),
    /// It was delivered: to that file, or to the program.
    Delivered(Snapshot, io::Result<Option<PathBuf>>),
    /// It comes too soon after another one.
    TooSoon(Duration),
}

/// Why there is nothing to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nobody {
    /// None runs.
    Runs,
    /// One does, with this format.
    But(Format),
}

/// The recorder that was started last, of those of a format.
pub(crate) fn find(format: Option<Format>) -> Result<Arc<Shared>, Nobody> {
    let all = trigger::recorders();
    let Some(last) = all.last() else { return Err(Nobody::Runs) };
    let found = all.iter().rev().find(|shared| format.is_none_or(|format| shared.format == format));
    found.cloned().ok_or(Nobody::But(last.format))
}

impl Shared {
    /// What its snapshots are written as.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// What it keeps.
    pub(crate) fn get(&self) -> Snapshot {
        self.asked(Cause::Request)
    }

    /// The same, as its trigger has it.
    pub(crate) fn post(&self) -> Answer {
        match self.request() {
            None => Answer::Snapshot(self.get()),
            Some(None) => Answer::TooSoon(Duration::from_nanos(self.interval)),
            Some(Some((snapshot, delivered))) => Answer::Delivered(snapshot, delivered),
        }
    }
}

/// For the page that says how the profiler is.
pub(crate) fn facts() -> Vec<Fact> {
    let all = trigger::recorders();
    let sum = |of: fn(&Status) -> u64| all.iter().map(|shared| of(&Status::of(shared))).sum::<u64>();
    vec![
        Fact::now("flight_recorders", "flight recorders that run", all.len() as u32),
        Fact::now("flight_bytes", "bytes of traces that they keep", sum(|status| status.bytes as u64) as f64),
        Fact::so_far("flight_snapshots_total", "snapshots of their triggers", sum(|status| status.delivered)),
        Fact::so_far("flight_failed_total", "those that could not be delivered", sum(|status| status.failed)),
        Fact::so_far(
            "flight_suppressed_total",
            "triggers that came too soon",
            sum(|status| status.suppressed),
        ),
    ]
}
