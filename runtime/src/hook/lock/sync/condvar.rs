//! `std::sync::Condvar`, which takes our guards and the standard library's.
//!
//! A wait is one event of `block`, from the call to its return: getting the lock again is part of it. Whoever waits
//! releases its lock first, and is charged for those who waited for that.
use crate::trace::event::Class;
use std::fmt;
use std::sync::{LockResult, PoisonError, WaitTimeoutResult};
use std::time::Duration;

use super::{MutexGuard, goes_on, waits, waits_unless};

/// What a [`Condvar`] waits with: the guard of a [`sync::Mutex`](crate::sync::Mutex), or of a [`std::sync::Mutex`].
pub trait WaitGuard: sealed::Sealed {}

mod sealed {
    use super::{Duration, LockResult, WaitTimeoutResult};

    pub trait Sealed: Sized {
        type Value;

        fn value(&mut self) -> &mut Self::Value;
        fn wait(self, on: &std::sync::Condvar) -> LockResult<Self>;
        fn wait_timeout(
            self,
            on: &std::sync::Condvar,
            time: Duration,
        ) -> LockResult<(Self, WaitTimeoutResult)>;
        fn wait_timeout_while(
            self,
            on: &std::sync::Condvar,
            time: Duration,
            condition: impl FnMut(&mut Self::Value) -> bool,
        ) -> LockResult<(Self, WaitTimeoutResult)>;
    }
}

impl<T> WaitGuard for MutexGuard<'_, T> {}

impl<T> sealed::Sealed for MutexGuard<'_, T> {
    type Value = T;

    fn value(&mut self) -> &mut T {
        self
    }

    fn wait(self, on: &std::sync::Condvar) -> LockResult<Self> {
        let MutexGuard { hold, inner } = self;
        let meter = hold.0;
        drop(hold);
        MutexGuard::of(meter, on.wait(inner))
    }

    fn wait_timeout(self, on: &std::sync::Condvar, time: Duration) -> LockResult<(Self, WaitTimeoutResult)> {
        let MutexGuard { hold, inner } = self;
        let meter = hold.0;
        drop(hold);
        let ours = |(inner, result)| (MutexGuard::new(meter, meter.ready(), inner), result);
        on.wait_timeout(inner, time).map(ours).map_err(|error| PoisonError::new(ours(error.into_inner())))
    }

    fn wait_timeout_while(
        self,
        on: &std::sync::Condvar,
        time: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(Self, WaitTimeoutResult)> {
        let MutexGuard { hold, inner } = self;
        let meter = hold.0;
        let mut hold = Some(hold);
        let result = while_it_holds(on, condition, |condition| {
            on.wait_timeout_while(inner, time, |value| {
                let holds = condition(value);
                if holds {
                    hold = None;
                }
                holds
            })
        });
        let ours = |(inner, result)| match hold {
            Some(hold) => (MutexGuard { hold, inner }, result),
            None => (MutexGuard::new(meter, meter.ready(), inner), result),
        };
        match result {
            Ok(both) => Ok(ours(both)),
            Err(error) => Err(PoisonError::new(ours(error.into_inner()))),
        }
    }
}

impl<T> WaitGuard for std::sync::MutexGuard<'_, T> {}

impl<T> sealed::Sealed for std::sync::MutexGuard<'_, T> {
    type Value = T;

    fn value(&mut self) -> &mut T {
        self
    }

    fn wait(self, on: &std::sync::Condvar) -> LockResult<Self> {
        on.wait(self)
    }

    fn wait_timeout(self, on: &std::sync::Condvar, time: Duration) -> LockResult<(Self, WaitTimeoutResult)> {
        on.wait_timeout(self, time)
    }

    fn wait_timeout_while(
        self,
        on: &std::sync::Condvar,
        time: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(Self, WaitTimeoutResult)> {
        while_it_holds(on, condition, |condition| on.wait_timeout_while(self, time, condition))
    }
}

/// What tells it from all else.
fn place(condition: &std::sync::Condvar) -> usize {
    std::ptr::from_ref(condition).addr()
}

/// Books a wait, unless the condition does not hold to begin with.
fn while_it_holds<T, R>(
    on: &std::sync::Condvar,
    mut condition: impl FnMut(&mut T) -> bool,
    wait: impl FnOnce(&mut dyn FnMut(&mut T) -> bool) -> R,
) -> R {
    waits_unless(Class::Condvar, place(on), |no_wait| {
        let mut first = true;
        wait(&mut |value| {
            let holds = condition(value);
            if std::mem::take(&mut first) && !holds {
                no_wait();
            }
            holds
        })
    })
}

/// [`std::sync::Condvar`], whose waits are in the profile `block`.
#[derive(Default)]
pub struct Condvar(std::sync::Condvar);

impl Condvar {
    /// One that nobody waits for.
    #[must_use]
    #[inline]
    pub const fn new() -> Condvar {
        Condvar(std::sync::Condvar::new())
    }

    /// Releases the lock and waits to be notified; it may also return without that.
    ///
    /// # Errors
    /// If the mutex is poisoned when it is locked again, with the guard inside.
    pub fn wait<G: WaitGuard>(&self, guard: G) -> LockResult<G> {
        waits(Class::Condvar, place(&self.0), || guard.wait(&self.0))
    }

    /// Waits for as long as the condition holds.
    ///
    /// # Errors
    /// If the mutex is poisoned when it is locked again, with the guard inside.
    pub fn wait_while<G, F>(&self, mut guard: G, mut condition: F) -> LockResult<G>
    where
        G: WaitGuard,
        F: FnMut(&mut G::Value) -> bool,
    {
        while condition(guard.value()) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// Waits no longer than `time`.
    ///
    /// # Errors
    /// If the mutex is poisoned when it is locked again, with the guard inside.
    pub fn wait_timeout<G: WaitGuard>(&self, guard: G, time: Duration) -> LockResult<(G, WaitTimeoutResult)> {
        waits(Class::Condvar, place(&self.0), || guard.wait_timeout(&self.0, time))
    }

    /// Waits no longer than `ms` milliseconds: `false` if that was not enough.
    ///
    /// # Errors
    /// If the mutex is poisoned when it is locked again, with the guard inside.
    #[deprecated(note = "as the standard library's: use `wait_timeout`")]
    pub fn wait_timeout_ms<G: WaitGuard>(&self, guard: G, ms: u32) -> LockResult<(G, bool)> {
        let notified = |(guard, result): (G, WaitTimeoutResult)| (guard, !result.timed_out());
        self.wait_timeout(guard, Duration::from_millis(u64::from(ms)))
            .map(notified)
            .map_err(|error| PoisonError::new(notified(error.into_inner())))
    }

    /// Waits for as long as the condition holds, and no longer than `time`.
    ///
    /// # Errors
    /// If the mutex is poisoned when it is locked again, with the guard inside.
    pub fn wait_timeout_while<G, F>(
        &self,
        guard: G,
        time: Duration,
        condition: F,
    ) -> LockResult<(G, WaitTimeoutResult)>
    where
        G: WaitGuard,
        F: FnMut(&mut G::Value) -> bool,
    {
        guard.wait_timeout_while(&self.0, time, condition)
    }

    /// Wakes one who waits.
    #[inline]
    pub fn notify_one(&self) {
        goes_on(Class::Condvar, place(&self.0));
        self.0.notify_one();
    }

    /// Wakes all who wait.
    #[inline]
    pub fn notify_all(&self) {
        goes_on(Class::Condvar, place(&self.0));
        self.0.notify_all();
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
