#![expect(unsafe_code, reason = "an owned permit holds the semaphore that its inner permit borrows")]
//! `tokio::sync::Semaphore`: whoever gives permits back while others wait is charged, as readers are that share a lock.
use std::any::type_name;
use std::fmt;
use std::sync::Arc;

use ::tokio::sync::{self, AcquireError, TryAcquireError};

use super::locked;
use crate::hook::lock::Shared;
use crate::hook::lock::meter::Meter;
use crate::local::blocked::Manner;
use crate::local::held::Access;

/// [`tokio::sync::Semaphore`](::tokio::sync::Semaphore), profiled; with this crate switched off it is that very type.
pub struct Semaphore {
    meter: Meter,
    inner: sync::Semaphore,
}

impl Semaphore {
    /// The most permits that one may have.
    pub const MAX_PERMITS: usize = sync::Semaphore::MAX_PERMITS;

    /// One with so many permits. Its profile goes by the place this is called from.
    #[track_caller]
    pub fn new(permits: usize) -> Semaphore {
        Semaphore { meter: Meter::here(type_name::<sync::Semaphore>), inner: sync::Semaphore::new(permits) }
    }

    /// The same in constants.
    #[track_caller]
    pub const fn const_new(permits: usize) -> Semaphore {
        Semaphore {
            meter: Meter::here(type_name::<sync::Semaphore>),
            inner: sync::Semaphore::const_new(permits),
        }
    }

    /// Permits that nobody has.
    pub fn available_permits(&self) -> usize {
        self.inner.available_permits()
    }

    /// Adds permits.
    pub fn add_permits(&self, n: usize) {
        // Whoever gives way is charged for what others waited, permit in hand or not.
        self.meter.release_shared();
        self.inner.add_permits(n);
    }

    /// Takes permits away that nobody has; says how many.
    pub fn forget_permits(&self, n: usize) -> usize {
        self.inner.forget_permits(n)
    }

    /// Waits for a permit. Dropping the future gives up.
    ///
    /// # Errors
    /// If the semaphore is closed.
    pub async fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire_many(1).await
    }

    /// Waits for `n` permits. Dropping the future gives up.
    ///
    /// # Errors
    /// If the semaphore is closed.
    pub async fn acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        let inner = locked(&self.meter, self.inner.acquire_many(n), Result::is_ok).await?;
        Ok(SemaphorePermit::new(self, inner))
    }

    /// A permit, if there is one.
    ///
    /// # Errors
    /// If there is none, or the semaphore is closed.
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// `n` permits, if they are there.
    ///
    /// # Errors
    /// If they are not, or the semaphore is closed.
    pub fn try_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.inner.try_acquire_many(n).map(|inner| SemaphorePermit::new(self, inner))
    }

    /// Waits for a permit, on a thread that runs no tasks.
    ///
    /// # Errors
    /// If the semaphore is closed.
    ///
    /// # Panics
    /// If the thread runs tasks.
    #[track_caller]
    pub fn blocking_acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.blocking_acquire_many(1)
    }

    /// Waits for `n` permits, on a thread that runs no tasks.
    ///
    /// # Errors
    /// If the semaphore is closed.
    ///
    /// # Panics
    /// If the thread runs tasks.
    #[track_caller]
    pub fn blocking_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        let again = || self.inner.try_acquire_many(n).ok();
        let inner = match again() {
            Some(inner) => inner,
            None => self.meter.wait(
                Manner::of(Access::Shared),
                || again().map(Ok),
                || self.inner.blocking_acquire_many(n),
                Result::is_ok,
            )?,
        };
        Ok(SemaphorePermit::new(self, inner))
    }

    /// Waits for a permit that keeps the semaphore alive, on a thread that runs no tasks.
    ///
    /// # Errors
    /// If the semaphore is closed.
    ///
    /// # Panics
    /// If the thread runs tasks.
    #[track_caller]
    pub fn blocking_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.blocking_acquire_many_owned(1)
    }

    /// Waits for `n` permits that keep the semaphore alive, on a thread that runs no tasks.
    ///
    /// # Errors
    /// If the semaphore is closed.
    ///
    /// # Panics
    /// If the thread runs tasks.
    #[track_caller]
    pub fn blocking_acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        let permit = self.blocking_acquire_many(n)?;
        // SAFETY: it is of this semaphore.
        Ok(unsafe { OwnedSemaphorePermit::new(permit, &self) })
    }

    /// Waits for a permit that keeps the semaphore alive. Dropping the future gives up.
    ///
    /// # Errors
    /// If the semaphore is closed.
    pub async fn acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.acquire_many_owned(1).await
    }

    /// Waits for `n` permits that keep the semaphore alive. Dropping the future gives up.
    ///
    /// # Errors
    /// If the semaphore is closed.
    pub async fn acquire_many_owned(self: Arc<Self>, n: u32) -> Result<OwnedSemaphorePermit, AcquireError> {
        let permit = self.acquire_many(n).await?;
        // SAFETY: it is of this semaphore.
        Ok(unsafe { OwnedSemaphorePermit::new(permit, &self) })
    }

    /// A permit that keeps the semaphore alive, if there is one.
    ///
    /// # Errors
    /// If there is none, or the semaphore is closed.
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// `n` permits that keep the semaphore alive, if they are there.
    ///
    /// # Errors
    /// If they are not, or the semaphore is closed.
    pub fn try_acquire_many_owned(self: Arc<Self>, n: u32) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        let permit = self.try_acquire_many(n)?;
        // SAFETY: it is of this semaphore.
        Ok(unsafe { OwnedSemaphorePermit::new(permit, &self) })
    }

    /// No permits are given any more; who waits is told.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }
}

/// Permits, given back when this is dropped.
#[must_use]
#[clippy::has_significant_drop]
#[derive(Debug)]
pub struct SemaphorePermit<'a> {
    hold: Shared<'a>,
    inner: sync::SemaphorePermit<'a>,
    semaphore: &'a Semaphore,
}

impl<'a> SemaphorePermit<'a> {
    fn new(semaphore: &'a Semaphore, inner: sync::SemaphorePermit<'a>) -> SemaphorePermit<'a> {
        semaphore.meter.shared_by_any(semaphore.meter.ready());
        SemaphorePermit { hold: Shared(&semaphore.meter), inner, semaphore }
    }

    /// Never gives them back.
    pub fn forget(self) {
        self.inner.forget();
    }

    /// Takes those of another one.
    ///
    /// # Panics
    /// If they are not of the same semaphore.
    #[track_caller]
    pub fn merge(&mut self, other: Self) {
        self.inner.merge(other.inner);
    }

    /// Splits `n` off, if there are so many.
    pub fn split(&mut self, n: usize) -> Option<Self> {
        let (hold, semaphore) = (Shared(self.hold.0), self.semaphore);
        self.inner.split(n).map(|inner| SemaphorePermit { hold, inner, semaphore })
    }

    /// The semaphore.
    pub fn semaphore(&self) -> &Semaphore {
        self.semaphore
    }

    /// How many they are.
    pub fn num_permits(&self) -> usize {
        self.inner.num_permits()
    }
}

/// Permits that keep the semaphore alive, given back when this is dropped.
#[must_use]
#[clippy::has_significant_drop]
#[derive(Debug)]
pub struct OwnedSemaphorePermit {
    // Dropped in this order.
    permit: SemaphorePermit<'static>,
    semaphore: Arc<Semaphore>,
}

impl OwnedSemaphorePermit {
    /// # Safety
    /// `permit` is of `semaphore`. It is dropped before it.
    unsafe fn new(permit: SemaphorePermit<'_>, semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
        // SAFETY: the lifetimes alone differ; what they stand for is kept by the `Arc`.
        let permit = unsafe { std::mem::transmute::<SemaphorePermit<'_>, SemaphorePermit<'static>>(permit) };
        OwnedSemaphorePermit { permit, semaphore: Arc::clone(semaphore) }
    }

    /// Never gives them back.
    pub fn forget(self) {
        self.permit.forget();
    }

    /// Takes those of another one.
    ///
    /// # Panics
    /// If they are not of the same semaphore.
    #[track_caller]
    pub fn merge(&mut self, other: Self) {
        self.permit.merge(other.permit);
    }

    /// Splits `n` off, if there are so many.
    pub fn split(&mut self, n: usize) -> Option<Self> {
        let permit = self.permit.split(n)?;
        Some(OwnedSemaphorePermit { permit, semaphore: Arc::clone(&self.semaphore) })
    }

    /// The semaphore.
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }

    /// How many they are.
    pub fn num_permits(&self) -> usize {
        self.permit.num_permits()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
