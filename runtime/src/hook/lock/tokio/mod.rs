//! `tokio::sync`, name for name.
//!
//! A task waits from the first poll that finds the lock taken until the one that has it, or until its future is dropped:
//! then it has given up, and what it waited is charged to whoever holds the lock, as with a timeout. The stack of a wait is
//! what that first poll shows.
/// What guards share: they are the value, and print as it does.
macro_rules! guards {
    ($($kind:ident $guard:ident<$($lifetime:lifetime,)? $($param:ident $(: $bound:lifetime)?),*> of $value:ident;)*) => {$(
        impl<$($lifetime,)? $($param: ?Sized $(+ $bound)?),*> std::ops::Deref
            for $guard<$($lifetime,)? $($param),*>
        {
            type Target = $value;

            #[inline]
            fn deref(&self) -> &$value {
                &self.inner
            }
        }

        guards! { $kind $guard<$($lifetime,)? $($param $(: $bound)?),*> }

        impl<$($lifetime,)? $($param: ?Sized $(+ $bound)?),*> std::fmt::Debug
            for $guard<$($lifetime,)? $($param),*>
        where
            $value: std::fmt::Debug,
        {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.inner.fmt(f)
            }
        }

        impl<$($lifetime,)? $($param: ?Sized $(+ $bound)?),*> std::fmt::Display
            for $guard<$($lifetime,)? $($param),*>
        where
            $value: std::fmt::Display,
        {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.inner.fmt(f)
            }
        }
    )*};
    (shared $guard:ident<$($rest:tt)*) => {};
    (alone $guard:ident<$($lifetime:lifetime,)? $($param:ident $(: $bound:lifetime)?),*>) => {
        impl<$($lifetime,)? $($param: ?Sized $(+ $bound)?),*> std::ops::DerefMut
            for $guard<$($lifetime,)? $($param),*>
        {
            #[inline]
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.inner
            }
        }
    };
}

pub mod mpsc;
mod mutex;
mod notify;
mod rwlock;
mod semaphore;

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use super::Profiled;
use super::meter::Meter;
use super::wait::Wait;
use super::waiting::Waiting;
use crate::clock;

pub use ::tokio::sync::{AcquireError, TryAcquireError, TryLockError};
pub use mutex::{MappedMutexGuard, MutexGuard, OwnedMappedMutexGuard, OwnedMutexGuard};
pub use notify::{Notify, futures};
pub use rwlock::{
    OwnedRwLockMappedWriteGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLockMappedWriteGuard,
    RwLockReadGuard, RwLockWriteGuard,
};
pub use semaphore::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// [`tokio::sync::Mutex`](::tokio::sync::Mutex), profiled; with this crate switched off it is that very type.
pub type Mutex<T> = Profiled<::tokio::sync::Mutex<T>>;
/// [`tokio::sync::RwLock`](::tokio::sync::RwLock), profiled; with this crate switched off it is that very type.
pub type RwLock<T> = Profiled<::tokio::sync::RwLock<T>>;

/// What waits, or has waited.
trait Begun {
    fn begin(&self) -> Self::Wait;
    type Wait;
}

impl<'a> Begun for &'a Meter {
    type Wait = Wait<'a>;

    fn begin(&self) -> Wait<'a> {
        let mut wait = Wait::begin(self);
        wait.show();
        wait
    }
}

/// A wait for what nobody holds.
struct Nobody;

impl Begun for Nobody {
    type Wait = Waiting;

    fn begin(&self) -> Waiting {
        Waiting::begin(clock::ticks(), 0, None)
    }
}

/// Another future, with its wait if it has to wait. (`poll_fn` would be a frame of its own in stacks.)
struct Polled<'a, F, B: Begun> {
    future: Pin<&'a mut F>,
    begun: B,
    wait: Option<B::Wait>,
}

impl<F, B: Begun> Unpin for Polled<'_, F, B> {}

impl<F: Future, B: Begun> Future for Polled<'_, F, B> {
    type Output = (F::Output, Option<B::Wait>);

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        match this.future.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready((result, this.wait.take())),
            Poll::Pending => {
                if this.wait.is_none() {
                    this.wait = Some(this.begun.begin());
                }
                Poll::Pending
            }
        }
    }
}

/// Waits for a lock. `has` tells whether the wait ended with it. The acquisition is not counted.
async fn locked<F: Future>(meter: &Meter, future: F, has: impl FnOnce(&F::Output) -> bool) -> F::Output {
    let future = pin!(future);
    let (result, wait) = Polled { future, begun: meter, wait: None }.await;
    if let Some(wait) = wait
        && has(&result)
    {
        wait.has_it();
    }
    result
}

/// Waits for something that nobody holds: an event of `block`.
async fn waited<F: Future>(future: F) -> F::Output {
    let future = pin!(future);
    Polled { future, begun: Nobody, wait: None }.await.0
}
