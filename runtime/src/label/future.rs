//! Labels of a future: in force while it is polled, on whatever thread that is.
use std::fmt;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Scope, Set, Which, around};
use crate::clock;

/// Labels for futures.
pub trait FutureExt: Future + Sized {
    /// This future with labels: every sample taken while it is polled or dropped carries them, on whatever thread that is,
    /// and nothing else that the thread does.
    ///
    /// It inherits the labels that are in force where it is made, as a thread of Go's does, so that a task which is spawned
    /// in a request has the request's. Polled in another future with labels it has those, too. Where two have one key, its
    /// own value wins over that of the future around it, and that over what it inherited, unless it was made in there.
    ///
    /// Bounds are those of [`with`](super::with). It allocates once, half a kilobyte.
    ///
    /// ```
    /// use profiled::labels::{self, FutureExt as _};
    ///
    /// async fn handle() -> bool {
    ///     labels::current().get("route") == Some("/cart")
    /// }
    ///
    /// let request = handle().with_labels(&[("route", "/cart")]);
    /// # use std::{pin::pin, task::{Context, Poll, Waker}};
    /// # let polled = pin!(request).poll(&mut Context::from_waker(Waker::noop()));
    /// # assert_eq!(polled, Poll::Ready(profiled::lookup("heap").is_some()));
    /// # assert_eq!(labels::current().iter().count(), 0);
    /// ```
    fn with_labels(self, labels: &[(&str, &str)]) -> WithLabels<Self> {
        WithLabels::new(Set::inherit_with(labels), self)
    }
}

impl<F: Future> FutureExt for F {}

/// A future and its labels: what [`FutureExt::with_labels`] makes.
// The set is not a part of the future, which would grow by its 400 bytes.
#[must_use = "futures do nothing unless they are polled"]
pub struct WithLabels<F> {
    set: Box<Set>,
    /// The future with labels that was being polled where this was made.
    made_in: Option<Which>,
    /// With those of the future that it is polled in, if that is another one.
    merged: Option<Box<Set>>,
    /// Dropped by our `drop`, under its labels: a future that is cancelled ends then.
    future: ManuallyDrop<F>,
}

impl<F> WithLabels<F> {
    /// What the attribute wraps a future with that has `labels(..)`.
    #[doc(hidden)]
    #[inline]
    pub fn new(set: Set, future: F) -> WithLabels<F> {
        let mut set = Box::new(set);
        set.future = Some((std::ptr::from_ref(&*set).addr(), clock::ticks()));
        let made_in = around().map(|(which, _)| which);
        WithLabels { set, made_in, merged: None, future: ManuallyDrop::new(future) }
    }
}

/// Puts the labels in force.
fn enter<'a>(set: &'a Set, made_in: Option<Which>, merged: &'a mut Option<Box<Set>>) -> Scope<'a> {
    match around() {
        Some((which, around)) if made_in != Some(which) => {
            let both = Set { future: set.future, ..set.within(around) };
            match merged {
                Some(merged) => **merged = both,
                None => *merged = Some(Box::new(both)),
            }
            merged.as_deref().unwrap_or(set).enter()
        }
        _ => set.enter(),
    }
}

impl<F: Future> Future for WithLabels<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned whenever we are and never moved out; the sets are in boxes.
        let this = unsafe { self.get_unchecked_mut() };
        let _scope = enter(&this.set, this.made_in, &mut this.merged);
        // SAFETY: as above.
        unsafe { Pin::new_unchecked(&mut *this.future) }.poll(cx)
    }
}

impl<F> Drop for WithLabels<F> {
    fn drop(&mut self) {
        let _scope = enter(&self.set, self.made_in, &mut self.merged);
        // SAFETY: nobody uses it after this, and nobody else drops it.
        unsafe { ManuallyDrop::drop(&mut self.future) }
    }
}

impl<F> fmt::Debug for WithLabels<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithLabels").field("labels", &self.set).finish_non_exhaustive()
    }
}
