//! Switches that switch nothing. Each answers that its profile was off before, and is.
use std::io;
use std::path::Path;
use std::time::Duration;

use super::Snapshot;
use crate::error::Result;

/// Sets the mean bytes between two samples; 0 was and is in force.
#[inline(always)]
pub fn set_heap_rate(_bytes: u64) -> u64 {
    0
}

/// Mean bytes between two samples: 0, off.
#[inline(always)]
pub fn heap_rate() -> u64 {
    0
}

/// Writes nothing.
///
/// # Errors
/// None.
#[inline(always)]
pub fn heap_write(_w: impl io::Write) -> Result<()> {
    Ok(())
}

/// A figure: 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Estimate {
    /// 0.
    pub value: u64,
    /// 0.
    pub standard_error: u64,
}

/// The heap in figures: all of them 0, or unknown.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct HeapStats {
    /// 0.
    pub rate: u64,
    /// 0.
    pub allocated_bytes: Estimate,
    /// 0.
    pub allocated_objects: Estimate,
    /// 0.
    pub live_bytes: Estimate,
    /// 0.
    pub live_objects: Estimate,
    /// 0.
    pub peak_bytes: u64,
    /// 0.
    pub refused: u64,
    /// Unknown.
    pub resident_bytes: Option<u64>,
    /// Unknown.
    pub peak_resident_bytes: Option<u64>,
    /// 0.
    pub table_bytes: u64,
    /// 0.
    pub samples: u64,
    /// 0.
    pub lost_samples: u64,
}

/// The heap in figures: nothing is known of it.
#[inline(always)]
pub fn heap_stats() -> HeapStats {
    HeapStats::default()
}

/// No peak is noted.
#[inline(always)]
pub fn heap_peak() -> Option<Snapshot> {
    None
}

/// Writes no file.
///
/// # Errors
/// None.
#[inline(always)]
pub fn heap_peak_file(_path: impl AsRef<Path>) -> Result<()> {
    Ok(())
}

/// Reads no file.
///
/// # Errors
/// [`Error::Unsupported`](crate::Error::Unsupported), always.
#[inline(always)]
pub fn heap_read_peak_file(_path: impl AsRef<Path>) -> Result<Snapshot> {
    Err(crate::Error::Unsupported("reading a peak file: `profiled` is switched off"))
}

/// An empty snapshot.
#[inline(always)]
pub fn heap_older_than(_age: Duration) -> Snapshot {
    Snapshot::default()
}

/// Sets the nanoseconds of waiting between two samples; 0 was and is in force.
#[inline(always)]
pub fn set_block_rate(_ns: u64) -> u64 {
    0
}

/// Sets which part of contention is sampled; 0 was and is in force.
#[inline(always)]
pub fn set_mutex_fraction(_n: u64) -> u64 {
    0
}

/// Checks no order of locks; it was not and is not checked.
#[inline(always)]
pub fn check_lock_order(_on: bool) -> bool {
    false
}

/// Watches for nothing.
#[inline(always)]
pub fn watch_deadlocks(_every: Duration, _f: impl Fn(&Cycle) + Send + Sync + 'static) -> Watch {
    Watch::new()
}

/// A watch for nothing.
#[derive(Debug)]
#[must_use = "dropping it ends the watch"]
pub struct Watch {
    nothing: (),
}

impl Watch {
    pub(super) fn new() -> Watch {
        Watch { nothing: () }
    }
}

impl Drop for Watch {
    #[inline(always)]
    fn drop(&mut self) {
        self.nothing
    }
}

/// A deadlock: there is never one to be told of.
#[derive(Debug)]
pub struct Cycle(Snapshot);

impl Cycle {
    /// It has not struck.
    pub fn is_deadlock(&self) -> bool {
        false
    }

    /// 0.
    pub fn number(&self) -> u64 {
        0
    }

    /// None.
    pub fn threads(&self) -> impl ExactSizeIterator<Item = &str> {
        std::iter::empty()
    }

    /// None.
    pub fn locks(&self) -> impl ExactSizeIterator<Item = &str> {
        std::iter::empty()
    }

    /// An empty one.
    pub fn snapshot(&self) -> &Snapshot {
        &self.0
    }
}

impl std::fmt::Display for Cycle {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

/// How to sample CPU time.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "nothing is sampled until `start`"]
pub struct Options(());

impl Options {
    /// The default.
    pub const fn new() -> Options {
        Options(())
    }

    /// Samples a second of CPU time.
    pub const fn hz(self, _hz: u32) -> Options {
        self
    }

    /// Samples by the wall clock.
    pub const fn wall(self, _on: bool) -> Options {
        self
    }

    /// Samples carry the name of their thread.
    pub const fn thread_names(self, _on: bool) -> Options {
        self
    }

    /// Has the stacks of samples within a task end there, and go on with those who await it.
    pub const fn task_stacks(self, _on: bool) -> Options {
        self
    }

    /// Begins a window in which nothing is sampled.
    ///
    /// # Errors
    /// None.
    #[inline(always)]
    pub fn start(self) -> Result<Session> {
        Ok(Session { nothing: () })
    }
}

/// Begins a window in which nothing is sampled.
///
/// # Errors
/// None.
#[inline(always)]
pub fn start() -> Result<Session> {
    Options::new().start()
}

/// An empty snapshot, at once.
///
/// # Errors
/// None.
#[inline(always)]
pub fn profile(_duration: Duration) -> Result<Snapshot> {
    Ok(Snapshot::default())
}

/// Sets the rate of the profile `cpu`; 0 was and is in force.
///
/// # Errors
/// None.
#[inline(always)]
pub fn set_continuous(_hz: u32) -> Result<u32> {
    Ok(0)
}

/// A window in which nothing is sampled.
#[derive(Debug)]
#[must_use = "dropping it discards what was sampled"]
pub struct Session {
    nothing: (),
}

impl Session {
    /// Ends it: an empty snapshot.
    #[inline(always)]
    pub fn stop(self) -> Snapshot {
        Snapshot::default()
    }
}

impl Drop for Session {
    #[inline(always)]
    fn drop(&mut self) {
        self.nothing
    }
}

/// No thread is asked.
#[inline(always)]
pub fn dump() -> Snapshot {
    Snapshot::default()
}
