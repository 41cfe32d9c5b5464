//! Labels of a future: in force while it is polled, on whatever thread that is.
use std::fmt;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::Set;

/// A future and its labels. The set is not a part of the future, which would grow by its 400 bytes.
#[doc(hidden)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Labelled<F> {
    set: Box<Set>,
    /// Dropped by our `drop`, under its labels: a future that is cancelled ends then.
    future: ManuallyDrop<F>,
}

impl<F> Labelled<F> {
    /// What the attribute wraps a future with that has `labels(..)`.
    #[inline]
    pub fn new(set: Set, future: F) -> Labelled<F> {
        Labelled { set: Box::new(set), future: ManuallyDrop::new(future) }
    }
}

impl<F: Future> Future for Labelled<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned whenever we are and never moved out; the set is in a box.
        let this = unsafe { self.get_unchecked_mut() };
        let _scope = this.set.enter();
        // SAFETY: as above.
        unsafe { Pin::new_unchecked(&mut *this.future) }.poll(cx)
    }
}

impl<F> Drop for Labelled<F> {
    fn drop(&mut self) {
        let _scope = self.set.enter();
        // SAFETY: nobody uses it after this, and nobody else drops it.
        unsafe { ManuallyDrop::drop(&mut self.future) }
    }
}

impl<F> fmt::Debug for Labelled<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Labelled").field("set", &self.set).finish_non_exhaustive()
    }
}
