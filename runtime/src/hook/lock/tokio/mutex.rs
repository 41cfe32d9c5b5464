#![expect(unsafe_code, reason = "an owned guard holds the lock that its inner guard borrows")]
//! `tokio::sync::Mutex`.
use std::any::type_name;
use std::fmt;
use std::sync::Arc;

use ::tokio::sync::{self, TryLockError};

use super::locked;
use crate::hook::lock::meter::Meter;
use crate::hook::lock::{Alone, Profiled, wraps};
use crate::local::blocked::Manner;
use crate::local::held::Access;

wraps!(Mutex of ::tokio::sync);

impl<T> Profiled<sync::Mutex<T>> {
    /// An unlocked mutex. Its profile goes by the place this is called from.
    #[track_caller]
    pub fn new(value: T) -> Self {
        Profiled { meter: Meter::here(type_name::<sync::Mutex<T>>), lock: sync::Mutex::new(value) }
    }

    /// The same in constants.
    #[track_caller]
    pub const fn const_new(value: T) -> Self {
        Profiled { meter: Meter::here(type_name::<sync::Mutex<T>>), lock: sync::Mutex::const_new(value) }
    }

    /// The value, without locking.
    pub fn into_inner(self) -> T {
        self.lock.into_inner()
    }
}

impl<T: ?Sized> Profiled<sync::Mutex<T>> {
    /// Waits for the lock. Dropping the future gives up.
    #[inline]
    pub async fn lock(&self) -> MutexGuard<'_, T> {
        let inner = locked(&self.meter, self.lock.lock(), |_| true).await;
        MutexGuard::new(self, inner)
    }

    /// Waits for the lock, on a thread that runs no tasks.
    ///
    /// # Panics
    /// If the thread runs tasks.
    #[track_caller]
    pub fn blocking_lock(&self) -> MutexGuard<'_, T> {
        let inner = self.blocking();
        self.meter.acquired(self.meter.ready());
        MutexGuard { hold: Alone(&self.meter), inner, lock: self }
    }

    #[track_caller]
    fn blocking(&self) -> sync::MutexGuard<'_, T> {
        match self.lock.try_lock() {
            Ok(inner) => inner,
            Err(_) => self.meter.wait(
                Manner::of(Access::Alone),
                || self.lock.try_lock().ok(),
                || self.lock.blocking_lock(),
                |_| true,
            ),
        }
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// If it is not.
    #[inline]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        self.lock.try_lock().map(|inner| MutexGuard::new(self, inner))
    }

    /// The value, without locking: the exclusive borrow is lock enough.
    pub fn get_mut(&mut self) -> &mut T {
        self.lock.get_mut()
    }
}

impl<T: ?Sized + 'static> Profiled<sync::Mutex<T>> {
    /// Waits for the lock, and keeps it alive. Dropping the future gives up.
    pub async fn lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        let MutexGuard { hold, inner, .. } = self.lock().await;
        // SAFETY: see `OwnedMutexGuard::new`.
        unsafe { OwnedMutexGuard::new(hold, inner, &self) }
    }

    /// The same on a thread that runs no tasks.
    ///
    /// # Panics
    /// If the thread runs tasks.
    #[track_caller]
    pub fn blocking_lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        // Such a guard is there to be sent.
        let MutexGuard { hold, inner, .. } = MutexGuard::new(&self, self.blocking());
        // SAFETY: see `OwnedMutexGuard::new`.
        unsafe { OwnedMutexGuard::new(hold, inner, &self) }
    }

    /// Takes the lock if it is free, and keeps it alive.
    ///
    /// # Errors
    /// If it is not free.
    pub fn try_lock_owned(self: Arc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        let MutexGuard { hold, inner, .. } = self.try_lock()?;
        // SAFETY: see `OwnedMutexGuard::new`.
        Ok(unsafe { OwnedMutexGuard::new(hold, inner, &self) })
    }
}

/// The lock, held. Unlocks when it is dropped.
///
/// The fields are dropped in their order: first the charge is made, then the lock released.
#[must_use = "if unused the Mutex will immediately unlock"]
#[clippy::has_significant_drop]
pub struct MutexGuard<'a, T: ?Sized> {
    hold: Alone<'a>,
    inner: sync::MutexGuard<'a, T>,
    lock: &'a Profiled<sync::Mutex<T>>,
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    #[inline]
    fn new(lock: &'a Profiled<sync::Mutex<T>>, inner: sync::MutexGuard<'a, T>) -> Self {
        lock.meter.acquired_by_any(lock.meter.ready());
        MutexGuard { hold: Alone(&lock.meter), inner, lock }
    }

    /// Holds the lock for a part of the value.
    pub fn map<U: ?Sized, F: FnOnce(&mut T) -> &mut U>(this: Self, f: F) -> MappedMutexGuard<'a, U> {
        let MutexGuard { hold, inner, .. } = this;
        MappedMutexGuard { hold, inner: sync::MutexGuard::map(inner, f) }
    }

    /// The same for a part that may not be there.
    ///
    /// # Errors
    /// If it is not, with this guard.
    pub fn try_map<U: ?Sized, F>(this: Self, f: F) -> Result<MappedMutexGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        let MutexGuard { hold, inner, lock } = this;
        match sync::MutexGuard::try_map(inner, f) {
            Ok(inner) => Ok(MappedMutexGuard { hold, inner }),
            Err(inner) => Err(MutexGuard { hold, inner, lock }),
        }
    }

    /// The lock.
    pub fn mutex(this: &Self) -> &'a Profiled<sync::Mutex<T>> {
        this.lock
    }
}

/// The lock, held for a part of its value. Unlocks when it is dropped.
#[must_use = "if unused the Mutex will immediately unlock"]
#[clippy::has_significant_drop]
pub struct MappedMutexGuard<'a, T: ?Sized> {
    hold: Alone<'a>,
    inner: sync::MappedMutexGuard<'a, T>,
}

impl<'a, T: ?Sized> MappedMutexGuard<'a, T> {
    /// Holds the lock for a part of this part.
    pub fn map<U, F: FnOnce(&mut T) -> &mut U>(this: Self, f: F) -> MappedMutexGuard<'a, U> {
        let MappedMutexGuard { hold, inner } = this;
        MappedMutexGuard { hold, inner: sync::MappedMutexGuard::map(inner, f) }
    }

    /// The same for a part that may not be there.
    ///
    /// # Errors
    /// If it is not, with this guard.
    pub fn try_map<U, F>(this: Self, f: F) -> Result<MappedMutexGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        let MappedMutexGuard { hold, inner } = this;
        match sync::MappedMutexGuard::try_map(inner, f) {
            Ok(inner) => Ok(MappedMutexGuard { hold, inner }),
            Err(inner) => Err(MappedMutexGuard { hold, inner }),
        }
    }
}

/// The lock, held and kept alive. Unlocks when it is dropped.
#[must_use = "if unused the Mutex will immediately unlock"]
#[clippy::has_significant_drop]
pub struct OwnedMutexGuard<T: ?Sized + 'static> {
    // In the order in which they are dropped.
    hold: Alone<'static>,
    inner: sync::MutexGuard<'static, T>,
    lock: Arc<Profiled<sync::Mutex<T>>>,
}

impl<T: ?Sized + 'static> OwnedMutexGuard<T> {
    /// # Safety
    /// `hold` and `inner` are of `lock`. They are dropped before it, and it does not move.
    unsafe fn new(
        hold: Alone<'_>,
        inner: sync::MutexGuard<'_, T>,
        lock: &Arc<Profiled<sync::Mutex<T>>>,
    ) -> Self {
        // SAFETY: the lifetimes alone differ; what they stand for is kept by the `Arc`.
        unsafe {
            OwnedMutexGuard {
                hold: std::mem::transmute::<Alone<'_>, Alone<'static>>(hold),
                inner: std::mem::transmute::<sync::MutexGuard<'_, T>, sync::MutexGuard<'static, T>>(inner),
                lock: Arc::clone(lock),
            }
        }
    }

    /// Holds the lock for a part of the value.
    pub fn map<U: ?Sized, F: FnOnce(&mut T) -> &mut U>(this: Self, f: F) -> OwnedMappedMutexGuard<T, U> {
        let OwnedMutexGuard { hold, inner, lock } = this;
        OwnedMappedMutexGuard { hold, inner: sync::MutexGuard::map(inner, f), lock }
    }

    /// The same for a part that may not be there.
    ///
    /// # Errors
    /// If it is not, with this guard.
    pub fn try_map<U: ?Sized, F>(this: Self, f: F) -> Result<OwnedMappedMutexGuard<T, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        let OwnedMutexGuard { hold, inner, lock } = this;
        match sync::MutexGuard::try_map(inner, f) {
            Ok(inner) => Ok(OwnedMappedMutexGuard { hold, inner, lock }),
            Err(inner) => Err(OwnedMutexGuard { hold, inner, lock }),
        }
    }

    /// The lock.
    pub fn mutex(this: &Self) -> &Arc<Profiled<sync::Mutex<T>>> {
        &this.lock
    }
}

/// The lock, held for a part of its value and kept alive. Unlocks when it is dropped.
#[must_use = "if unused the Mutex will immediately unlock"]
#[clippy::has_significant_drop]
pub struct OwnedMappedMutexGuard<T: ?Sized + 'static, U: ?Sized + 'static = T> {
    // In the order in which they are dropped.
    hold: Alone<'static>,
    inner: sync::MappedMutexGuard<'static, U>,
    lock: Arc<Profiled<sync::Mutex<T>>>,
}

impl<T: ?Sized + 'static, U: ?Sized + 'static> OwnedMappedMutexGuard<T, U> {
    /// Holds the lock for a part of this part.
    pub fn map<S, F: FnOnce(&mut U) -> &mut S>(this: Self, f: F) -> OwnedMappedMutexGuard<T, S> {
        let OwnedMappedMutexGuard { hold, inner, lock } = this;
        OwnedMappedMutexGuard { hold, inner: sync::MappedMutexGuard::map(inner, f), lock }
    }

    /// The same for a part that may not be there.
    ///
    /// # Errors
    /// If it is not, with this guard.
    pub fn try_map<S, F>(this: Self, f: F) -> Result<OwnedMappedMutexGuard<T, S>, Self>
    where
        F: FnOnce(&mut U) -> Option<&mut S>,
    {
        let OwnedMappedMutexGuard { hold, inner, lock } = this;
        match sync::MappedMutexGuard::try_map(inner, f) {
            Ok(inner) => Ok(OwnedMappedMutexGuard { hold, inner, lock }),
            Err(inner) => Err(OwnedMappedMutexGuard { hold, inner, lock }),
        }
    }
}

guards! {
    alone MutexGuard<'a, T> of T;
    alone MappedMutexGuard<'a, T> of T;
    alone OwnedMutexGuard<T: 'static> of T;
    alone OwnedMappedMutexGuard<T: 'static, U: 'static> of U;
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Profiled<sync::Mutex<T>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}

impl<T: Default> Default for Profiled<sync::Mutex<T>> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Profiled<sync::Mutex<T>> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new(value)
    }
}
