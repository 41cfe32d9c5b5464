//! `tokio::sync::mpsc`: waits for a message, or for room for one, are in the profile `block`.
pub use ::tokio::sync::mpsc::{Permit, PermitIterator, error};

use crate::trace::event::Class;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, ops};

use ::tokio::sync::mpsc;
use error::{SendError, SendTimeoutError, TryRecvError, TrySendError};

use super::waited;
use crate::hook::lock::sync::waits;

/// A channel that holds `buffer` messages.
///
/// # Panics
/// If `buffer` is 0.
#[track_caller]
#[must_use]
pub fn channel<T>(buffer: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(buffer);
    (Sender(sender), Receiver(receiver))
}

/// A channel without bounds: sending never waits.
#[must_use]
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (UnboundedSender(sender), UnboundedReceiver(receiver))
}

impl<T> Sender<T> {
    /// Waits for room, and sends.
    ///
    /// # Errors
    /// If nobody can receive it any more, with the message inside.
    pub async fn send(&self, message: T) -> Result<(), SendError<T>> {
        waited(self.0.send(message)).await
    }

    /// The same on a thread that runs no tasks.
    ///
    /// # Errors
    /// If nobody can receive it any more, with the message inside.
    ///
    /// # Panics
    /// If the thread runs tasks.
    #[track_caller]
    pub fn blocking_send(&self, message: T) -> Result<(), SendError<T>> {
        match self.0.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message)) => {
                waits(Class::ChannelSend, 0, || self.0.blocking_send(message))
            }
            Err(TrySendError::Closed(message)) => Err(SendError(message)),
        }
    }

    /// Waits for room no longer than `timeout`, and sends.
    ///
    /// # Errors
    /// If that was not enough, or nobody can receive it any more, with the message inside.
    pub async fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        waited(self.0.send_timeout(message, timeout)).await
    }

    /// Waits for room for one message, and keeps it.
    ///
    /// # Errors
    /// If nobody can receive it any more.
    pub async fn reserve(&self) -> Result<Permit<'_, T>, SendError<()>> {
        waited(self.0.reserve()).await
    }

    /// Waits for room for `n` messages, and keeps it.
    ///
    /// # Errors
    /// If nobody can receive them any more, or there is never so much.
    pub async fn reserve_many(&self, n: usize) -> Result<PermitIterator<'_, T>, SendError<()>> {
        waited(self.0.reserve_many(n)).await
    }

    /// Waits for room for one message, and keeps it and the channel.
    ///
    /// # Errors
    /// If nobody can receive it any more.
    pub async fn reserve_owned(self) -> Result<OwnedPermit<T>, SendError<()>> {
        waited(self.0.reserve_owned()).await.map(OwnedPermit)
    }

    /// Keeps room for one message, if there is, and the channel.
    ///
    /// # Errors
    /// If there is none, or nobody to receive it any more, with the sender inside.
    pub fn try_reserve_owned(self) -> Result<OwnedPermit<T>, TrySendError<Self>> {
        self.0.try_reserve_owned().map(OwnedPermit).map_err(|error| match error {
            TrySendError::Full(sender) => TrySendError::Full(Sender(sender)),
            TrySendError::Closed(sender) => TrySendError::Closed(Sender(sender)),
        })
    }
}

/// [`tokio::sync::mpsc::OwnedPermit`](::tokio::sync::mpsc::OwnedPermit).
pub struct OwnedPermit<T>(mpsc::OwnedPermit<T>);

impl<T> OwnedPermit<T> {
    /// Sends, and gives the sender back.
    pub fn send(self, message: T) -> Sender<T> {
        Sender(self.0.send(message))
    }

    /// Sends nothing, and gives the sender back.
    pub fn release(self) -> Sender<T> {
        Sender(self.0.release())
    }

    /// Whether both are of one channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }

    /// Whether it is of this sender's channel.
    pub fn same_channel_as_sender(&self, sender: &Sender<T>) -> bool {
        self.0.same_channel_as_sender(&sender.0)
    }
}

macro_rules! ends {
    ($($name:ident)*) => {$(
        #[doc = concat!("[`tokio::sync::mpsc::", stringify!($name), "`](::tokio::sync::mpsc::", stringify!($name), ").")]
        /// What does not wait is the original's, by `Deref`.
        pub struct $name<T>(mpsc::$name<T>);

        impl<T> ops::Deref for $name<T> {
            type Target = mpsc::$name<T>;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
ends!(Sender UnboundedSender WeakSender WeakUnboundedSender Receiver UnboundedReceiver);

impl<T> fmt::Debug for OwnedPermit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! senders {
    ($($name:ident $weak:ident)*) => {$(
        impl<T> $name<T> {
            /// Waits until nobody can receive any more.
            pub async fn closed(&self) {
                waited(self.0.closed()).await;
            }

            /// One that does not keep the channel open.
            #[must_use = "it does nothing unless it is upgraded"]
            pub fn downgrade(&self) -> $weak<T> {
                $weak(self.0.downgrade())
            }
        }

        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                $name(self.0.clone())
            }
        }

        impl<T> $weak<T> {
            /// A sender, if there is one that keeps the channel open.
            pub fn upgrade(&self) -> Option<$name<T>> {
                self.0.upgrade().map($name)
            }
        }

        impl<T> Clone for $weak<T> {
            fn clone(&self) -> Self {
                $weak(self.0.clone())
            }
        }
    )*};
}
senders!(Sender WeakSender UnboundedSender WeakUnboundedSender);

macro_rules! receivers {
    ($($name:ident)*) => {$(
        impl<T> $name<T> {
            /// Waits for a message; `None` when nobody can send one any more.
            pub async fn recv(&mut self) -> Option<T> {
                waited(self.0.recv()).await
            }

            /// Waits for messages, and appends up to `limit` of them to `buffer`: how many.
            pub async fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
                waited(self.0.recv_many(buffer, limit)).await
            }

            /// The next message, if it is there.
            ///
            /// # Errors
            /// If it is not, or nobody can send one any more.
            pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
                self.0.try_recv()
            }

            /// Waits for a message on a thread that runs no tasks.
            ///
            /// # Panics
            /// If the thread runs tasks.
            #[track_caller]
            pub fn blocking_recv(&mut self) -> Option<T> {
                match self.0.try_recv() {
                    Ok(message) => Some(message),
                    Err(_) => waits(Class::ChannelReceive, 0, || self.0.blocking_recv()),
                }
            }

            /// Waits for messages on a thread that runs no tasks, and appends up to `limit` of them to `buffer`: how many.
            ///
            /// # Panics
            /// If the thread runs tasks.
            #[track_caller]
            pub fn blocking_recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
                if limit == 0 || !self.0.is_empty() {
                    return self.0.blocking_recv_many(buffer, limit);
                }
                waits(Class::ChannelReceive, 0, || self.0.blocking_recv_many(buffer, limit))
            }

            /// Looks for a message, to be woken when there is one. It is no wait of `block`: between two looks nobody knows
            /// who waits.
            pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
                self.0.poll_recv(context)
            }

            /// The same for up to `limit` messages, which are appended to `buffer`.
            pub fn poll_recv_many(
                &mut self,
                context: &mut Context<'_>,
                buffer: &mut Vec<T>,
                limit: usize,
            ) -> Poll<usize> {
                self.0.poll_recv_many(context, buffer, limit)
            }

            /// No more messages are taken but for those that are there.
            pub fn close(&mut self) {
                self.0.close();
            }
        }
    )*};
}
receivers!(Receiver UnboundedReceiver);
