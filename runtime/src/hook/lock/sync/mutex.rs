//! `std::sync::Mutex`, profiled: its own API, to the letter.
use std::any::type_name;
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};
use std::{fmt, ops};

use crate::hook::lock::meter::{Meter, Ready};
use crate::hook::lock::{Alone, Profiled, wraps};
use crate::local::blocked::Manner;
use crate::local::held::Access;

wraps!(Mutex of std::sync);

impl<T> Profiled<std::sync::Mutex<T>> {
    /// An unlocked mutex. Its profile goes by the place this is called from.
    #[track_caller]
    pub const fn new(value: T) -> Self {
        let meter = Meter::here(type_name::<std::sync::Mutex<T>>);
        Profiled { meter, lock: std::sync::Mutex::new(value) }
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
    #[inline(always)]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let ready = self.meter.ready();
        match self.lock.try_lock() {
            Ok(inner) => Ok(MutexGuard::new(&self.meter, ready, inner)),
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
            TryLockError::Poisoned(poisoned) => Err(poisoned),
            TryLockError::WouldBlock => self.meter.wait(
                Manner::of(Access::Alone),
                // A try is an exchange, which takes the lock's line from whoever holds it: a look leaves it there.
                || if self.meter.is_anybodys() { None } else { tried(self.lock.try_lock()) },
                || self.lock.lock(),
                |_| true,
            ),
        };
        MutexGuard::of(&self.meter, locked)
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// `WouldBlock` if it is held, `Poisoned` with the guard inside if a thread panicked while it held it.
    #[inline]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        let ready = self.meter.ready();
        match self.lock.try_lock() {
            Ok(inner) => Ok(MutexGuard::tried(&self.meter, ready, inner)),
            Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
            Err(TryLockError::Poisoned(poisoned)) => {
                let guard = MutexGuard::tried(&self.meter, ready, poisoned.into_inner());
                Err(TryLockError::Poisoned(PoisonError::new(guard)))
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

/// What a try came to, if it came to something.
pub(super) fn tried<G>(result: TryLockResult<G>) -> Option<LockResult<G>> {
    match result {
        Ok(inner) => Some(Ok(inner)),
        Err(TryLockError::Poisoned(poisoned)) => Some(Err(poisoned)),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// The lock, held. Unlocks when it is dropped.
///
/// The fields are dropped in their order: first the charge is made, then the lock released.
#[must_use = "if unused the Mutex will immediately unlock"]
#[clippy::has_significant_drop]
pub struct MutexGuard<'a, T: ?Sized> {
    pub(super) hold: Alone<'a>,
    pub(super) inner: std::sync::MutexGuard<'a, T>,
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// Of a lock that was just got.
    #[inline(always)]
    pub(super) fn new(meter: &'a Meter, ready: Ready, inner: std::sync::MutexGuard<'a, T>) -> Self {
        meter.acquired(ready);
        MutexGuard { hold: Alone(meter), inner }
    }

    /// The same by who would not have waited.
    #[inline(always)]
    fn tried(meter: &'a Meter, ready: Ready, inner: std::sync::MutexGuard<'a, T>) -> Self {
        meter.tried(ready);
        MutexGuard { hold: Alone(meter), inner }
    }

    #[inline]
    pub(super) fn of(meter: &'a Meter, locked: LockResult<std::sync::MutexGuard<'a, T>>) -> LockResult<Self> {
        match locked {
            Ok(inner) => Ok(MutexGuard::new(meter, meter.ready(), inner)),
            Err(poisoned) => {
                Err(PoisonError::new(MutexGuard::new(meter, meter.ready(), poisoned.into_inner())))
            }
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
