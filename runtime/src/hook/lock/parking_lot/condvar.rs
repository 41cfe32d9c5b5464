#![expect(unsafe_code, reason = "waits with the guard of the lock beneath ours")]
//! `parking_lot::Condvar`, for our guards.
use crate::trace::event::Class;
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};
use std::{fmt, ops};

use super::family::holder::count;
use super::{MutexGuard, WaitTimeoutResult, origin};
use crate::hook::lock::deadlock::Taken;
use crate::hook::lock::sync::{goes_on, waits};
use crate::local::held::Access;

/// [`parking_lot::Condvar`](origin::Condvar), whose waits are in the profile `block`: from the call to its return,
/// so that getting the lock again is part of it.
#[derive(Default)]
pub struct Condvar(origin::Condvar);

impl Condvar {
    /// One that nobody waits for.
    #[must_use]
    #[inline]
    pub const fn new() -> Condvar {
        Condvar(origin::Condvar::new())
    }

    /// What tells it from all else.
    fn place(&self) -> usize {
        std::ptr::from_ref(&self.0).addr()
    }

    /// Wakes one who waits, and says whether there was one.
    #[inline]
    pub fn notify_one(&self) -> bool {
        goes_on(Class::Condvar, self.place());
        self.0.notify_one()
    }

    /// Wakes all who wait, and says how many.
    #[inline]
    pub fn notify_all(&self) -> usize {
        goes_on(Class::Condvar, self.place());
        self.0.notify_all()
    }

    /// Releases the lock and waits to be notified.
    ///
    /// # Panics
    /// If others wait here with another mutex.
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        with(self.place(), guard, |inner| self.0.wait(inner));
    }

    /// The same, no longer than until `end`.
    ///
    /// # Panics
    /// If others wait here with another mutex.
    pub fn wait_until<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, end: Instant) -> WaitTimeoutResult {
        with(self.place(), guard, |inner| self.0.wait_until(inner, end))
    }

    /// The same, no longer than for `time`.
    ///
    /// # Panics
    /// If others wait here with another mutex.
    pub fn wait_for<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, time: Duration) -> WaitTimeoutResult {
        with(self.place(), guard, |inner| self.0.wait_for(inner, time))
    }

    /// Waits for as long as the condition holds.
    ///
    /// # Panics
    /// If others wait here with another mutex.
    pub fn wait_while<T, F>(&self, guard: &mut MutexGuard<'_, T>, mut condition: F)
    where
        T: ?Sized,
        F: FnMut(&mut T) -> bool,
    {
        while condition(ops::DerefMut::deref_mut(guard)) {
            self.wait(guard);
        }
    }

    /// Waits for as long as the condition holds, and no longer than for `time`.
    ///
    /// # Panics
    /// If others wait here with another mutex.
    pub fn wait_while_for<T, F>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        condition: F,
        time: Duration,
    ) -> WaitTimeoutResult
    where
        T: ?Sized,
        F: FnMut(&mut T) -> bool,
    {
        // Too far to be a moment is for ever.
        match Instant::now().checked_add(time) {
            Some(end) => self.wait_while_until(guard, condition, end),
            None => {
                self.wait_while(guard, condition);
                self.wait_for(guard, Duration::ZERO)
            }
        }
    }

    /// Waits for as long as the condition holds, and no longer than until `end`.
    ///
    /// # Panics
    /// If others wait here with another mutex.
    pub fn wait_while_until<T, F>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        condition: F,
        end: Instant,
    ) -> WaitTimeoutResult
    where
        T: ?Sized,
        F: FnMut(&mut T) -> bool,
    {
        let data = Data(std::ptr::from_mut(ops::DerefMut::deref_mut(guard)), condition);
        with(self.place(), guard, move |inner| {
            let mut data = data;
            // SAFETY: the lock is held whenever the condition is asked, and the guard that has the value is borrowed by
            // `with` alone, which does not touch it meanwhile.
            self.0.wait_while_until(inner, |()| unsafe { data.holds() }, end)
        })
    }
}

/// The value beneath a guard, and what to ask of it.
struct Data<T: ?Sized, F>(*mut T, F);

impl<T: ?Sized, F: FnMut(&mut T) -> bool> Data<T, F> {
    /// # Safety
    /// The lock is held, and nobody else borrows the value.
    unsafe fn holds(&mut self) -> bool {
        // SAFETY: as the caller promises.
        (self.1)(unsafe { &mut *self.0 })
    }
}

/// Waits with the guard of the lock beneath.
fn with<T: ?Sized, R>(
    place: usize,
    guard: &mut MutexGuard<'_, T>,
    wait: impl FnOnce(&mut origin::MutexGuard<'_, ()>) -> R,
) -> R {
    // SAFETY: the raw lock is not unlocked through this, but for as long as the condition variable waits.
    let raw = unsafe { MutexGuard::mutex(guard).raw() };
    raw.meter.release();
    // SAFETY: our guard says that it is locked, and stays the one that unlocks it.
    let mut inner = ManuallyDrop::new(unsafe { raw.lock.make_guard_unchecked() });
    let result = waits(Class::Condvar, place, || wait(&mut inner));
    count(&raw.meter, raw.meter.ready(), Taken::waiting(Access::Alone));
    result
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
