#![expect(unsafe_code, reason = "projects a pin to the future inside")]
//! No trace is recorded.
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

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
