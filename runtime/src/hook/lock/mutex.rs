//! `std::sync::Mutex`, profiled: its own API, to the letter.
use std::any::type_name;
use std::panic::Location;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};
use std::{fmt, ops};

use super::{Meter, Origin, Profiled};
use crate::hook::interpose;

impl<T> Profiled<std::sync::Mutex<T>> {
    /// An unlocked mutex. Its profile goes by the place this is called from.
    #[track_caller]
    pub const fn new(value: T) -> Self {
        Profiled { meter: Meter::new(Origin::Caller(Location::caller())), lock: std::sync::Mutex::new(value) }
    }

    /// The value, without locking.
    ///
    /// # Errors
    /// If the mutex is poisoned, with the value inside.
    pub fn into_inner(self) -> LockResult<T> {
        self.lock.into_inner()
    }
}

impl<T: ?Sized> Profiled<std::sync::Mutex<T>> {
    /// Waits for the lock.
    ///
    /// # Errors
    /// If a thread panicked while it held the lock, with the guard inside.
    #[inline]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        match self.lock.try_lock() {
            Ok(inner) => {
                self.meter.acquired(type_name::<std::sync::Mutex<T>>);
                Ok(self.guard(inner))
            }
            Err(error) => self.lock_slow(error),
        }
    }

    #[cold]
    #[inline(never)]
    fn lock_slow<'a>(
        &'a self,
        error: TryLockError<std::sync::MutexGuard<'a, T>>,
    ) -> LockResult<MutexGuard<'a, T>> {
        let locked = match error {
            TryLockError::Poisoned(poisoned) => {
                self.meter.acquired(type_name::<std::sync::Mutex<T>>);
                Err(poisoned)
            }
            TryLockError::WouldBlock => {
                let start = self.meter.arrive();
                let locked = interpose::own_wait(|| self.lock.lock());
                self.meter.waited(start, type_name::<std::sync::Mutex<T>>);
                locked
            }
        };
        match locked {
            Ok(inner) => Ok(self.guard(inner)),
            Err(poisoned) => Err(PoisonError::new(self.guard(poisoned.into_inner()))),
        }
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// `WouldBlock` if it is held, `Poisoned` with the guard inside if a thread panicked while it held it.
    #[inline]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        let locked = self.lock.try_lock();
        if !matches!(locked, Err(TryLockError::WouldBlock)) {
            self.meter.acquired(type_name::<std::sync::Mutex<T>>);
        }
        match locked {
            Ok(inner) => Ok(self.guard(inner)),
            Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
            Err(TryLockError::Poisoned(poisoned)) => {
                Err(TryLockError::Poisoned(PoisonError::new(self.guard(poisoned.into_inner()))))
            }
        }
    }

    /// Whether a thread panicked while it held the lock.
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
    /// If the mutex is poisoned, with the reference inside.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.lock.get_mut()
    }

    #[inline(always)]
    fn guard<'a>(&'a self, inner: std::sync::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        MutexGuard { release: Unlock { meter: &self.meter }, inner }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Profiled<std::sync::Mutex<T>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}

impl<T: Default> Default for Profiled<std::sync::Mutex<T>> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Profiled<std::sync::Mutex<T>> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// The lock, held. Unlocks when it is dropped.
///
/// The fields are dropped in their order: first the charge is made, then the lock released.
#[must_use = "if unused the Mutex will immediately unlock"]
#[clippy::has_significant_drop]
pub struct MutexGuard<'a, T: ?Sized> {
    #[expect(dead_code, reason = "it is there for its drop")]
    release: Unlock<'a>,
    inner: std::sync::MutexGuard<'a, T>,
}

struct Unlock<'a> {
    meter: &'a Meter,
}

impl Drop for Unlock<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.meter.waiters.load(Relaxed) != 0 {
            self.meter.charge_holder();
        }
    }
}

impl<T: ?Sized> ops::Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> ops::DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
