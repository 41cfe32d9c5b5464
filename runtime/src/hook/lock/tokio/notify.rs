#![expect(unsafe_code, reason = "an owned future holds the original that is in ours")]
//! `tokio::sync::Notify`, whose waits are in the profile `block`.
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, ops};

use ::tokio::sync;
use pin_project_lite::pin_project;

use super::{Begun, Nobody};
use crate::hook::lock::waiting::Waiting;

/// [`tokio::sync::Notify`](::tokio::sync::Notify), whose waits are in the profile `block`.
#[derive(Default)]
#[repr(transparent)]
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

    /// The same, and keeps this alive.
    pub fn notified_owned(self: Arc<Self>) -> OwnedNotified {
        // SAFETY: ours is the original in all but name: of the same size, alignment and drop.
        let original = unsafe { Arc::from_raw(Arc::into_raw(self).cast::<sync::Notify>()) };
        OwnedNotified { inner: original.notified_owned(), wait: None }
    }
}

/// The futures of [`Notify`].
pub mod futures {
    pub use super::{Notified, OwnedNotified};
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

pin_project! {
    /// Waits to be notified: see [`Notify::notified_owned`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct OwnedNotified {
        #[pin]
        inner: sync::futures::OwnedNotified,
        wait: Option<Waiting>,
    }
}

macro_rules! futures {
    ($($future:ty)*) => {$(
        impl $future {
            /// Waits from now on, without being polled: `true` if it has been notified.
            pub fn enable(self: Pin<&mut Self>) -> bool {
                self.project().inner.enable()
            }
        }

        impl Future for $future {
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

        impl fmt::Debug for $future {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.inner.fmt(f)
            }
        }
    )*};
}
futures! { Notified<'_> OwnedNotified }

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
