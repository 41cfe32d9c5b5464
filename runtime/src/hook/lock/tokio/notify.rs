//! `tokio::sync::Notify`, whose waits are in the profile `block`.
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{fmt, ops};

use ::tokio::sync;
use pin_project_lite::pin_project;

use super::{Begun, Nobody};
use crate::hook::lock::waiting::Waiting;

/// [`tokio::sync::Notify`](::tokio::sync::Notify), whose waits are in the profile `block`.
#[derive(Default)]
pub struct Notify(sync::Notify);

impl Notify {
    /// One that nobody waits for.
    pub fn new() -> Notify {
        Notify(sync::Notify::new())
    }

    /// The same in constants.
    pub const fn const_new() -> Notify {
        Notify(sync::Notify::const_new())
    }

    /// Waits to be notified, from its first poll on.
    pub fn notified(&self) -> Notified<'_> {
        Notified { inner: self.0.notified(), wait: None }
    }
}

/// All that does not wait is the original's.
impl ops::Deref for Notify {
    type Target = sync::Notify;

    fn deref(&self) -> &sync::Notify {
        &self.0
    }
}

pin_project! {
    /// Waits to be notified: see [`Notify::notified`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Notified<'a> {
        #[pin]
        inner: sync::futures::Notified<'a>,
        wait: Option<Waiting>,
    }
}

impl Notified<'_> {
    /// Waits from now on, without being polled: `true` if it has been notified.
    pub fn enable(self: Pin<&mut Self>) -> bool {
        self.project().inner.enable()
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let polled = this.inner.poll(context);
        match polled {
            Poll::Ready(()) => *this.wait = None,
            Poll::Pending if this.wait.is_none() => *this.wait = Some(Nobody.begin()),
            Poll::Pending => {}
        }
        polled
    }
}

impl fmt::Debug for Notified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
