#![expect(unsafe_code, reason = "projects a pin to the future inside")]
//! Futures that no attribute can reach, by names that are given to them.
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::Polled;
use crate::site;

/// A future with a name: what [`instrument`] makes.
#[must_use = "futures do nothing unless they are polled"]
pub struct Instrumented<F>(Polled<F>);

/// Makes `future` one that the profiles `tasks` and `goroutine` show, as `name`, from now until it is dropped; whoever
/// calls this is shown as its maker. What it allocates, waits for, and is busy with is under its name, as if it were a
/// function marked [`#[profiled]`](crate::profiled). It adds two words to the future.
///
/// Names are few: a record of each is kept for ever.
///
/// A future of a `#[profiled] async fn` has its function's name, and is known from its first poll on. If it is spawned, by whatever
/// means, only a name that is given here says who spawned it: `set.spawn(instrument("job", job()))` of a `JoinSet` is
/// shown under whoever has the set. The name that `tokio::task::Builder::name` gives a task cannot be asked for: it is to be
/// given here, too, as in `Builder::new().name("job").spawn(instrument("job", job()))`.
///
/// ```
/// # fn accept() -> impl Future<Output = u32> { async { 7 } }
/// # let _ =
/// profiled::tasks::instrument("accept", accept())
/// # ;
/// ```
#[track_caller]
pub fn instrument<F: Future>(name: &'static str, future: F) -> Instrumented<F> {
    Instrumented(Polled::known(site::task_named(name), Location::caller(), future))
}

/// Spawns `future` on tokio's current runtime, as [`tokio::spawn`](::tokio::spawn), with a name and with the labels in
/// force: see [`instrument`].
///
/// # Panics
/// Outside of a runtime, as that does.
#[cfg(feature = "tokio")]
#[track_caller]
pub fn spawn<F>(name: &'static str, future: F) -> ::tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    use crate::label::{Set, WithLabels};
    let set = Set::inherit();
    if set.encoded().is_empty() {
        ::tokio::spawn(instrument(name, future))
    } else {
        ::tokio::spawn(WithLabels::new(set, instrument(name, future)))
    }
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
        f.debug_tuple("Instrumented").field(&self.0).finish()
    }
}
