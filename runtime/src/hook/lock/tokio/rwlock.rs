#![expect(unsafe_code, reason = "an owned guard holds the lock that its inner guard borrows")]
//! `tokio::sync::RwLock`.
use std::any::type_name;
use std::sync::Arc;
use std::{fmt, ops};

use ::tokio::sync::{self, TryLockError};

use super::locked;
use crate::hook::lock::meter::Meter;
use crate::hook::lock::{Alone, Profiled, Shared, wraps};

wraps!(RwLock of ::tokio::sync);

impl<T> Profiled<sync::RwLock<T>> {
    /// An unlocked one. Its profile goes by the place this is called from.
    #[track_caller]
    pub fn new(value: T) -> Self {
        Profiled { meter: Meter::here(type_name::<sync::RwLock<T>>), lock: sync::RwLock::new(value) }
    }

    /// The same in constants.
    #[track_caller]
    pub const fn const_new(value: T) -> Self {
        Profiled { meter: Meter::here(type_name::<sync::RwLock<T>>), lock: sync::RwLock::const_new(value) }
    }

    /// One that so many may read at once.
    ///
    /// # Panics
    /// If they are more than `u32::MAX >> 3`.
    #[track_caller]
    pub fn with_max_readers(value: T, max_reads: u32) -> Self {
        let meter = Meter::here(type_name::<sync::RwLock<T>>);
        Profiled { meter, lock: sync::RwLock::with_max_readers(value, max_reads) }
    }

    /// The value, without locking.
    pub fn into_inner(self) -> T {
        self.lock.into_inner()
    }
}

impl<T: ?Sized> Profiled<sync::RwLock<T>> {
    /// The value, without locking: the exclusive borrow is lock enough.
    pub fn get_mut(&mut self) -> &mut T {
        self.lock.get_mut()
    }
}

/// Reading and writing differ in names only.
macro_rules! sides {
    ($(
        $(#[$about:meta])*
        $lock:ident $blocking:ident $try:ident $guard:ident $hold:ident $count:ident
        $lock_owned:ident $try_owned:ident $owned:ident;
    )*) => {$(
        impl<T: ?Sized> Profiled<sync::RwLock<T>> {
            $(#[$about])*
            ///
            /// Dropping the future gives up.
            pub async fn $lock(&self) -> $guard<'_, T> {
                let inner = locked(&self.meter, self.lock.$lock(), |_| true).await;
                $guard::new(&self.meter, inner)
            }

            /// The same on a thread that runs no tasks.
            ///
            /// # Panics
            /// If the thread runs tasks.
            #[track_caller]
            pub fn $blocking(&self) -> $guard<'_, T> {
                let inner = match self.lock.$try() {
                    Ok(inner) => inner,
                    Err(_) => self.meter.wait(|| self.lock.$try().ok(), || self.lock.$blocking(), |_| true),
                };
                $guard::new(&self.meter, inner)
            }

            /// The same if it can be had at once.
            ///
            /// # Errors
            /// If it cannot.
            pub fn $try(&self) -> Result<$guard<'_, T>, TryLockError> {
                self.lock.$try().map(|inner| $guard::new(&self.meter, inner))
            }
        }

        impl<T: ?Sized + 'static> Profiled<sync::RwLock<T>> {
            $(#[$about])*
            ///
            /// The guard keeps the lock alive. Dropping the future gives up.
            pub async fn $lock_owned(self: Arc<Self>) -> $owned<T> {
                let $guard { hold, inner } = self.$lock().await;
                // SAFETY: they are of this lock.
                unsafe { $owned::new(hold, inner, &self) }
            }

            /// The same if it can be had at once.
            ///
            /// # Errors
            /// If it cannot.
            pub fn $try_owned(self: Arc<Self>) -> Result<$owned<T>, TryLockError> {
                let $guard { hold, inner } = self.$try()?;
                // SAFETY: they are of this lock.
                Ok(unsafe { $owned::new(hold, inner, &self) })
            }
        }

        /// The lock, held. Unlocks when it is dropped.
        ///
        /// The fields are dropped in their order: first the charge is made, then the lock released.
        #[must_use = "if unused the RwLock will immediately unlock"]
        #[clippy::has_significant_drop]
        pub struct $guard<'a, T: ?Sized> {
            hold: $hold<'a>,
            inner: sync::$guard<'a, T>,
        }

        impl<'a, T: ?Sized> $guard<'a, T> {
            fn new(meter: &'a Meter, inner: sync::$guard<'a, T>) -> Self {
                meter.$count();
                $guard { hold: $hold(meter), inner }
            }
        }

        /// The lock, held and kept alive. Unlocks when it is dropped.
        #[must_use = "if unused the RwLock will immediately unlock"]
        #[clippy::has_significant_drop]
        pub struct $owned<T: ?Sized + 'static> {
            // In the order in which they are dropped.
            #[expect(dead_code, reason = "it is there for its drop")]
            hold: $hold<'static>,
            inner: sync::$guard<'static, T>,
            #[expect(dead_code, reason = "the others borrow it")]
            lock: Arc<Profiled<sync::RwLock<T>>>,
        }

        impl<T: ?Sized + 'static> $owned<T> {
            /// # Safety
            /// `hold` and `inner` are of `lock`. They are dropped before it, and it does not move.
            unsafe fn new(
                hold: $hold<'_>,
                inner: sync::$guard<'_, T>,
                lock: &Arc<Profiled<sync::RwLock<T>>>,
            ) -> Self {
                // SAFETY: the lifetimes alone differ; what they stand for is kept by the `Arc`.
                unsafe {
                    $owned {
                        hold: std::mem::transmute::<$hold<'_>, $hold<'static>>(hold),
                        inner: std::mem::transmute::<sync::$guard<'_, T>, sync::$guard<'static, T>>(inner),
                        lock: Arc::clone(lock),
                    }
                }
            }
        }

        impl<T: ?Sized> ops::Deref for $guard<'_, T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.inner
            }
        }

        impl<T: ?Sized> ops::Deref for $owned<T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.inner
            }
        }

        impl<T: ?Sized + fmt::Debug> fmt::Debug for $guard<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.inner.fmt(f)
            }
        }

        impl<T: ?Sized + fmt::Debug> fmt::Debug for $owned<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.inner.fmt(f)
            }
        }
    )*};
}

sides! {
    /// Waits until it may read, with others that read.
    read blocking_read try_read RwLockReadGuard Shared shared
    read_owned try_read_owned OwnedRwLockReadGuard;
    /// Waits until it may write, alone.
    write blocking_write try_write RwLockWriteGuard Alone acquired
    write_owned try_write_owned OwnedRwLockWriteGuard;
}

impl<T: ?Sized> ops::DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized> ops::DerefMut for OwnedRwLockWriteGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Profiled<sync::RwLock<T>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}

impl<T: Default> Default for Profiled<sync::RwLock<T>> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Profiled<sync::RwLock<T>> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new(value)
    }
}
