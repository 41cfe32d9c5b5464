//! Switches that switch nothing. Each answers that its profile was off before, and is.
use std::io;
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
