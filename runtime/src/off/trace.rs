#![expect(unsafe_code, reason = "projects a pin to the future inside")]
//! No trace is recorded.
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::error::Result;

/// What a trace would be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Go's execution trace.
    Go,
    /// Perfetto's protobuf.
    Perfetto,
}

/// What was recorded: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// 0.
    pub events: u64,
    /// 0.
    pub dropped: u64,
    /// 0.
    pub bytes: u64,
    /// 0.
    pub suppressed: u64,
}

/// Records nothing, and writes nothing to `w`, which is dropped.
///
/// # Errors
/// None.
#[inline(always)]
pub fn start(_w: impl io::Write + Send + 'static, _format: Format) -> Result<Session> {
    Ok(Session(()))
}

/// Never.
#[inline(always)]
pub const fn is_enabled() -> bool {
    false
}

/// A recording of nothing.
#[derive(Debug)]
#[must_use = "dropping it ends the recording"]
pub struct Session(());

impl Session {
    /// Ends it.
    ///
    /// # Errors
    /// None.
    #[inline(always)]
    pub fn stop(self) -> Result<Summary> {
        Ok(Summary::default())
    }
}

impl Drop for Session {
    #[inline(always)]
    fn drop(&mut self) {}
}

/// A task of no trace.
#[inline(always)]
pub fn task(_name: &'static str) -> Task {
    Task(())
}

/// A task: see [`task`].
#[derive(Debug)]
#[must_use = "dropping it ends the task"]
pub struct Task(());

impl Task {
    /// Runs `f`.
    #[inline(always)]
    pub fn in_scope<R>(&self, f: impl FnOnce() -> R) -> R {
        f()
    }

    /// The future, as it is.
    #[inline(always)]
    pub fn instrument<F: Future>(&self, future: F) -> InTask<F> {
        InTask(future)
    }
}

impl Drop for Task {
    #[inline(always)]
    fn drop(&mut self) {}
}

/// A future in a task of no trace.
#[must_use = "futures do nothing unless they are polled"]
pub struct InTask<F>(F);

impl<F: Future> Future for InTask<F> {
    type Output = F::Output;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the one field is pinned whenever we are, and never moved out.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(cx)
    }
}

impl<F> fmt::Debug for InTask<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InTask").finish_non_exhaustive()
    }
}

/// A region of no trace.
#[inline(always)]
pub fn region(_name: &'static str) -> Region {
    Region(PhantomData)
}

/// A region: see [`region`].
#[derive(Debug)]
#[must_use = "dropping it ends the region at once"]
pub struct Region(PhantomData<*const ()>);

impl Drop for Region {
    #[inline(always)]
    fn drop(&mut self) {}
}

/// A message to no trace.
#[inline(always)]
pub const fn log(_category: &'static str, _message: &str) {}

/// A flight recorder of nothing.
#[derive(Debug)]
#[must_use = "dropping it ends the recording"]
pub struct FlightRecorder(());

impl FlightRecorder {
    /// What builds it.
    #[inline(always)]
    pub fn builder() -> Builder {
        Builder(())
    }

    /// Writes nothing.
    ///
    /// # Errors
    /// None.
    #[inline(always)]
    pub fn write_to(&self, _w: impl io::Write) -> Result<Summary> {
        Ok(Summary::default())
    }

    /// All zeros.
    #[inline(always)]
    pub fn status(&self) -> Status {
        Status::default()
    }

    /// Ends it.
    ///
    /// # Errors
    /// None.
    #[inline(always)]
    pub fn stop(self) -> Result<()> {
        Ok(())
    }
}

impl Drop for FlightRecorder {
    #[inline(always)]
    fn drop(&mut self) {}
}

/// Takes what a flight recorder would be told, and drops it.
#[derive(Debug)]
#[must_use = "nothing is recorded until `start`"]
pub struct Builder(());

impl Builder {
    /// Nothing is kept.
    #[inline(always)]
    pub fn min_age(self, _d: Duration) -> Self {
        self
    }

    /// Nothing is kept.
    #[inline(always)]
    pub fn max_bytes(self, _n: usize) -> Self {
        self
    }

    /// Nothing is written.
    #[inline(always)]
    pub fn format(self, _f: Format) -> Self {
        self
    }

    /// Never.
    #[inline(always)]
    pub fn at_most_every(self, _d: Duration) -> Self {
        self
    }

    /// Nothing is slow.
    #[inline(always)]
    pub fn on_slow(self, _threshold: Duration, _path: impl Into<PathBuf>) -> Self {
        self
    }

    /// Nothing is slow.
    #[inline(always)]
    pub fn on_slow_with(self, _threshold: Duration, _f: impl FnMut(Snapshot) + Send + 'static) -> Self {
        self
    }

    /// Panics are as they are.
    #[inline(always)]
    pub fn on_panic(self, _path: impl Into<PathBuf>) -> Self {
        self
    }

    /// Panics are as they are.
    #[inline(always)]
    pub fn on_panic_with(self, _f: impl FnMut(Snapshot) + Send + 'static) -> Self {
        self
    }

    /// Signals are as they are.
    #[inline(always)]
    pub fn on_signal(self, _signal: i32, _path: impl Into<PathBuf>) -> Self {
        self
    }

    /// Signals are as they are.
    #[inline(always)]
    pub fn on_signal_with(self, _signal: i32, _f: impl FnMut(Snapshot) + Send + 'static) -> Self {
        self
    }

    /// Nobody asks.
    #[inline(always)]
    pub fn on_request(self, _path: impl Into<PathBuf>) -> Self {
        self
    }

    /// Nobody asks.
    #[inline(always)]
    pub fn on_request_with(self, _f: impl FnMut(Snapshot) + Send + 'static) -> Self {
        self
    }

    /// Records nothing.
    ///
    /// # Errors
    /// None.
    #[inline(always)]
    pub fn start(self) -> Result<FlightRecorder> {
        Ok(FlightRecorder(()))
    }
}

/// How a flight recorder is: all zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// 0.
    pub bytes: usize,
    /// 0.
    pub most_bytes: usize,
    /// 0.
    pub delivered: u64,
    /// 0.
    pub failed: u64,
    /// 0.
    pub suppressed: u64,
    /// 0.
    pub restarts: u64,
}

/// Why a snapshot would be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Something of this name took so long.
    Slow {
        /// The region's, the task's or the function's.
        name: String,
        /// From its begin to its end.
        took: Duration,
    },
    /// A thread panicked.
    Panic,
    /// This signal came.
    Signal(i32),
    /// It was asked for over HTTP.
    Request,
    /// The program asked for it.
    Asked,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A snapshot. There is none.
#[derive(Clone, Debug)]
pub enum Snapshot {}

impl Snapshot {
    /// Why it was taken.
    #[inline(always)]
    pub fn cause(&self) -> &Cause {
        match *self {}
    }

    /// What it is written as.
    #[inline(always)]
    pub fn format(&self) -> Format {
        match *self {}
    }

    /// What is in it.
    #[inline(always)]
    pub fn summary(&self) -> Summary {
        match *self {}
    }

    /// Writes it.
    ///
    /// # Errors
    /// None.
    #[inline(always)]
    pub fn write_to(&self, _w: impl io::Write) -> Result<Summary> {
        match *self {}
    }
}
