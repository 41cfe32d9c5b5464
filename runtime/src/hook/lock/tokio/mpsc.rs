//! `tokio::sync::mpsc`: waits for a message, or for room for one, are in the profile `block`.
pub use ::tokio::sync::mpsc::error;

use std::{fmt, ops};

use ::tokio::sync::mpsc;
use error::{SendError, TryRecvError, TrySendError};

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
            Err(TrySendError::Full(message)) => waits(|| self.0.blocking_send(message)),
            Err(TrySendError::Closed(message)) => Err(SendError(message)),
        }
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
ends!(Sender UnboundedSender Receiver UnboundedReceiver);

macro_rules! senders {
    ($($name:ident)*) => {$(
        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                $name(self.0.clone())
            }
        }
    )*};
}
senders!(Sender UnboundedSender);

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
                    Err(_) => waits(|| self.0.blocking_recv()),
                }
            }

            /// No more messages are taken but for those that are there.
            pub fn close(&mut self) {
                self.0.close();
            }
        }
    )*};
}
receivers!(Receiver UnboundedReceiver);
