//! `std::sync::mpsc`: waits for a message, or for room for one, are in the profile `block`.
pub use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

use crate::trace::event::Class;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::Duration;

use super::{goes_on, waits};

/// What tells a channel from all else that is waited for.
#[derive(Clone, Copy)]
struct Which(usize);

impl Which {
    fn new() -> Which {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        // Odd: no address of a lock.
        Which(LAST.fetch_add(4, Relaxed) | 1)
    }

    /// Its next message.
    fn message(self) -> usize {
        self.0
    }

    /// Room for one.
    fn room(self) -> usize {
        self.0 | 2
    }
}

/// A channel without bounds: sending never waits.
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let ((sender, receiver), which) = (mpsc::channel(), Which::new());
    (Sender(sender, which), Receiver { inner: receiver, which, is_bounded: false })
}

/// A channel that holds `bound` messages; with 0, a sender waits until its message is taken.
#[must_use]
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let ((sender, receiver), which) = (mpsc::sync_channel(bound), Which::new());
    (SyncSender(sender, which), Receiver { inner: receiver, which, is_bounded: true })
}

/// [`std::sync::mpsc::Sender`].
pub struct Sender<T>(mpsc::Sender<T>, Which);

impl<T> Sender<T> {
    /// Sends; never waits.
    ///
    /// # Errors
    /// If nobody can receive it any more, with the message inside.
    #[inline]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        goes_on(Class::ChannelReceive, self.1.message());
        self.0.send(message)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender(self.0.clone(), self.1)
    }
}

/// [`std::sync::mpsc::SyncSender`], whose waits for room are in the profile `block`.
pub struct SyncSender<T>(mpsc::SyncSender<T>, Which);

impl<T> SyncSender<T> {
    /// Sends, and waits for room.
    ///
    /// # Errors
    /// If nobody can receive it any more, with the message inside.
    #[inline]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        goes_on(Class::ChannelReceive, self.1.message());
        match self.0.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message)) => {
                waits(Class::ChannelSend, self.1.room(), || self.0.send(message))
            }
            Err(TrySendError::Disconnected(message)) => Err(SendError(message)),
        }
    }

    /// Sends if there is room.
    ///
    /// # Errors
    /// If there is none, or nobody to receive it any more, with the message inside.
    #[inline]
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        goes_on(Class::ChannelReceive, self.1.message());
        self.0.try_send(message)
    }
}

impl<T> Clone for SyncSender<T> {
    fn clone(&self) -> SyncSender<T> {
        SyncSender(self.0.clone(), self.1)
    }
}

/// [`std::sync::mpsc::Receiver`], whose waits are in the profile `block`.
pub struct Receiver<T> {
    inner: mpsc::Receiver<T>,
    which: Which,
    is_bounded: bool,
}

impl<T> Receiver<T> {
    /// A message is taken in a moment, if there is one.
    #[inline(always)]
    fn takes(&self) {
        if self.is_bounded {
            goes_on(Class::ChannelSend, self.which.room());
        }
    }

    /// The next message, if it is there.
    ///
    /// # Errors
    /// If it is not, or nobody can send one any more.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.takes();
        self.inner.try_recv()
    }

    /// Waits for a message.
    ///
    /// # Errors
    /// If nobody can send one any more.
    #[inline]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.takes();
        match self.inner.try_recv() {
            Ok(message) => Ok(message),
            Err(TryRecvError::Empty) => {
                waits(Class::ChannelReceive, self.which.message(), || self.inner.recv())
            }
            Err(TryRecvError::Disconnected) => Err(RecvError),
        }
    }

    /// Waits for a message, no longer than `time`.
    ///
    /// # Errors
    /// If that was not enough, or nobody can send one any more.
    #[inline]
    pub fn recv_timeout(&self, time: Duration) -> Result<T, RecvTimeoutError> {
        self.takes();
        match self.inner.try_recv() {
            Ok(message) => Ok(message),
            Err(TryRecvError::Empty) => {
                waits(Class::ChannelReceive, self.which.message(), || self.inner.recv_timeout(time))
            }
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
        }
    }

    /// Messages until nobody can send one any more; waits for each.
    #[inline]
    pub fn iter(&self) -> Iter<'_, T> {
        Iter(self)
    }

    /// Messages that are there.
    #[inline]
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter(self)
    }
}

/// See [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T>(&'a Receiver<T>);

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

/// See [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T>(&'a Receiver<T>);

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.0.try_recv().ok()
    }
}

/// Messages of a receiver that is owned.
#[derive(Debug)]
pub struct IntoIter<T>(Receiver<T>);

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}

macro_rules! debug {
    ($($type:ident $inner:tt)*) => {$(
        impl<T> fmt::Debug for $type<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.$inner.fmt(f)
            }
        }
    )*};
}
debug!(Sender 0 SyncSender 0 Receiver inner);
