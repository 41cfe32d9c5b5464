#![expect(unsafe_code, reason = "projects a pin to the future inside")]
//! Futures by name, without the names.
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Snapshot;
use super::settings::Watch;

/// Whether profiled futures note where they wait: they do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stacks {
    /// Never.
    Off,
    /// Within a budget.
    Auto,
    /// Always.
    All,
}

/// Chooses nothing. Returns [`Stacks::Off`].
pub fn set_stacks(_stacks: Stacks) -> Stacks {
    Stacks::Off
}

/// An empty snapshot.
pub fn dump() -> Snapshot {
    Snapshot::default()
}

/// Watches for nothing.
pub fn watch(_threshold: Duration, _f: impl Fn(&Stuck) + Send + Sync + 'static) -> Watch {
    Watch::new()
}

/// A future that is stuck: none is known.
#[derive(Debug)]
pub struct Stuck(Snapshot);

impl Stuck {
    /// Nothing.
    pub fn name(&self) -> &str {
        ""
    }

    /// 0.
    pub fn id(&self) -> u64 {
        0
    }

    /// No time.
    pub fn time(&self) -> Duration {
        Duration::ZERO
    }

    /// It is not.
    pub fn is_polled(&self) -> bool {
        false
    }

    /// An empty snapshot.
    pub fn snapshot(&self) -> Snapshot {
        self.0.clone()
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// A future, as it was.
#[must_use = "futures do nothing unless they are polled"]
pub struct Instrumented<F>(F);

/// Gives a future that is as `future` is.
#[track_caller]
pub fn instrument<F: Future>(_name: &'static str, future: F) -> Instrumented<F> {
    Instrumented(future)
}

/// Spawns `future` on tokio's current runtime.
///
/// # Panics
/// Outside of a runtime, as [`tokio::spawn`](::tokio::spawn) does.
#[cfg(feature = "tokio")]
#[track_caller]
pub fn spawn<F>(_name: &'static str, future: F) -> ::tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    ::tokio::spawn(future)
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the one field is pinned whenever we are, and never moved out.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(cx)
    }
}

impl<F> fmt::Debug for Instrumented<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instrumented").finish_non_exhaustive()
    }
}
