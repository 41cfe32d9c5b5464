//! `std::sync::RwLock`, profiled: its own API, to the letter.
//!
//! Readers that wait charge the writer. A writer that waits charges each reader, as it leaves, the time since the last
//! charge.
use std::any::type_name;
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};
use std::{fmt, ops};

use super::mutex::tried;
use crate::hook::lock::meter::{Meter, Ready};
use crate::hook::lock::{Alone, Profiled, Shared, wraps};
use crate::local::blocked::Manner;
use crate::local::held::Access;

wraps!(RwLock of std::sync);

impl<T> Profiled<std::sync::RwLock<T>> {
    /// An unlocked one. Its profile goes by the place this is called from.
    #[track_caller]
    pub const fn new(value: T) -> Self {
        let meter = Meter::here(type_name::<std::sync::RwLock<T>>);
        Profiled { meter, lock: std::sync::RwLock::new(value) }
    }

    /// The value, without locking.
    ///
    /// # Errors
    /// If the lock is poisoned, with the value inside.
    pub fn into_inner(self) -> LockResult<T> {
        self.lock.into_inner()
    }
}

/// Reading and writing differ in names only.
macro_rules! sides {
    ($(
        $(#[$about:meta])* $lock:ident $slow:ident $try:ident $guard:ident $hold:ident $count:ident $tried:ident;
    )*) => {
        impl<T: ?Sized> Profiled<std::sync::RwLock<T>> {$(
            $(#[$about])*
            ///
            /// # Errors
            /// If a thread panicked while it held the lock for writing, with the guard inside.
            #[inline]
            pub fn $lock(&self) -> LockResult<$guard<'_, T>> {
                let ready = self.meter.ready();
                match self.lock.$try() {
                    Ok(inner) => Ok($guard::new(&self.meter, ready, inner)),
                    Err(error) => self.$slow(error),
                }
            }

            #[cold]
            #[inline(never)]
            fn $slow<'a>(&'a self, error: TryLockError<std::sync::$guard<'a, T>>) -> LockResult<$guard<'a, T>> {
                let locked = match error {
                    TryLockError::Poisoned(poisoned) => Err(poisoned),
                    TryLockError::WouldBlock => {
                        self.meter.wait(Manner::of(Access::$hold), || tried(self.lock.$try()), || self.lock.$lock(), |_| true)
                    }
                };
                let ready = self.meter.ready();
                match locked {
                    Ok(inner) => Ok($guard::new(&self.meter, ready, inner)),
                    Err(poisoned) => Err(PoisonError::new($guard::new(&self.meter, ready, poisoned.into_inner()))),
                }
            }

            /// The same if it can be had at once.
            ///
            /// # Errors
            /// `WouldBlock` if it cannot, `Poisoned` with the guard inside if a thread panicked while it held the lock
            /// for writing.
            #[inline]
            pub fn $try(&self) -> TryLockResult<$guard<'_, T>> {
                let ready = self.meter.ready();
                match self.lock.$try() {
                    Ok(inner) => Ok($guard::tried(&self.meter, ready, inner)),
                    Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
                    Err(TryLockError::Poisoned(poisoned)) => {
                        let guard = $guard::tried(&self.meter, ready, poisoned.into_inner());
                        Err(TryLockError::Poisoned(PoisonError::new(guard)))
                    }
                }
            }
        )*}

        $(
            /// The lock, held. Unlocks when it is dropped.
            ///
            /// The fields are dropped in their order: first the charge is made, then the lock released.
            #[must_use = "if unused the RwLock will immediately unlock"]
            #[clippy::has_significant_drop]
            pub struct $guard<'a, T: ?Sized> {
                #[allow(dead_code)] // it is there for its drop
                hold: $hold<'a>,
                inner: std::sync::$guard<'a, T>,
            }

            impl<'a, T: ?Sized> $guard<'a, T> {
                #[inline(always)]
                fn new(meter: &'a Meter, ready: Ready, inner: std::sync::$guard<'a, T>) -> Self {
                    meter.$count(ready);
                    $guard { hold: $hold(meter), inner }
                }

                #[inline(always)]
                fn tried(meter: &'a Meter, ready: Ready, inner: std::sync::$guard<'a, T>) -> Self {
                    meter.$tried(ready);
                    $guard { hold: $hold(meter), inner }
                }
            }

            impl<T: ?Sized> ops::Deref for $guard<'_, T> {
                type Target = T;

                #[inline]
                fn deref(&self) -> &T {
                    &self.inner
                }
            }

            impl<T: ?Sized + fmt::Debug> fmt::Debug for $guard<'_, T> {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.inner.fmt(f)
                }
            }

            impl<T: ?Sized + fmt::Display> fmt::Display for $guard<'_, T> {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.inner.fmt(f)
                }
            }
        )*
    };
}

sides! {
    /// Waits until it may read, with others that read.
    read read_slow try_read RwLockReadGuard Shared shared tried_shared;
    /// Waits until it may write, alone.
    write write_slow try_write RwLockWriteGuard Alone acquired tried;
}

#[cfg(profiled_rust_1_92)]
impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Lets others read, too. Whoever waits is charged for until now. Since Rust 1.92, as the standard library's.
    #[expect(clippy::incompatible_msrv, reason = "it is there since the standard library's is")]
    pub fn downgrade(s: Self) -> RwLockReadGuard<'a, T> {
        let RwLockWriteGuard { hold, inner } = s;
        let meter = hold.0;
        drop(hold);
        let inner = std::sync::RwLockWriteGuard::downgrade(inner);
        meter.downgraded(Access::Shared);
        RwLockReadGuard { hold: Shared(meter), inner }
    }
}

impl<T: ?Sized> ops::DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized> Profiled<std::sync::RwLock<T>> {
    /// Whether a thread panicked while it held the lock for writing.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.lock.is_poisoned()
    }

    /// Forgets that a thread panicked.
    #[inline]
    pub fn clear_poison(&self) {
        self.lock.clear_poison();
    }

    /// The value, without locking: the exclusive borrow is lock enough.
    ///
    /// # Errors
    /// If the lock is poisoned, with the reference inside.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.lock.get_mut()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Profiled<std::sync::RwLock<T>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}

impl<T: Default> Default for Profiled<std::sync::RwLock<T>> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Profiled<std::sync::RwLock<T>> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new(value)
    }
}
