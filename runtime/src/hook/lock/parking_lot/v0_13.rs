#![expect(unsafe_code, reason = "a raw condition variable is told the truth by whoever waits")]
//! `parking_lot` 0.13, name for name.
//!
//! Here is what is its own: whoever holds a raw lock has something to give back, condition variables are raw, too, and
//! reading again while reading is a lock of its own.

/// A method of a raw lock, in a trait that has it: how it gets the lock, tries to, gives it back, or turns one way of
/// holding it into another.
macro_rules! method {
    (get $name:ident $state:ident: $access:ident after $again:ident $(and $fetch:ident)?) => {
        #[inline]
        fn $name(&self) -> Self::$state {
            $(self.$fetch();)?
            let ready = self.meter.ready();
            let held =
                get(&self.meter, Manner::of(Access::$access), || self.raw().$again(), || self.raw().$name());
            count(&self.meter, ready, Taken::waiting(Access::$access));
            held
        }
    };
    (try $name:ident $state:ident: $access:ident) => {
        #[inline]
        fn $name(&self) -> Option<Self::$state> {
            let ready = self.meter.ready();
            counted(self.raw().$name(), || count(&self.meter, ready, Taken::tried(Access::$access)))
        }
    };
    (try $name:ident $state:ident: $access:ident after $again:ident for $time:ty) => {
        fn $name(&self, time: $time) -> Option<Self::$state> {
            let ready = self.meter.ready();
            let tried = get_in_time(
                &self.meter,
                Manner::of(Access::$access),
                || self.raw().$again(),
                || self.raw().$name(time),
            );
            counted(tried, || count(&self.meter, ready, Taken::tried(Access::$access)))
        }
    };
    (put $name:ident $state:ident: $release:ident) => {
        #[inline]
        unsafe fn $name(&self, held: Self::$state) {
            self.meter.$release();
            // SAFETY: the caller holds it.
            unsafe { self.raw().$name(held) };
        }
    };
    (lower $name:ident $from:ident $to:ident: $release:ident, $access:ident) => {
        unsafe fn $name(&self, held: Self::$from) -> Self::$to {
            self.meter.$release();
            // SAFETY: the caller holds it.
            let held = unsafe { self.raw().$name(held) };
            lowered(&self.meter, Access::$access);
            held
        }
    };
    (raise $name:ident $from:ident $to:ident: $access:ident after $again:ident) => {
        unsafe fn $name(&self, held: Self::$from) -> Self::$to {
            let ready = self.meter.ready();
            let again = |held| {
                // SAFETY: the caller holds it, and does so until it has more.
                unsafe { self.raw().$again(held) }
            };
            let held = match again(held) {
                Ok(held) => held,
                Err(held) => {
                    let less = std::cell::Cell::new(Some(held));
                    let again =
                        || less.take().and_then(|held| again(held).map_err(|held| less.set(Some(held))).ok());
                    // SAFETY: as above.
                    let block = || unsafe { self.raw().$name(less.take().expect("it was given back")) };
                    self.meter.wait(
                        Manner { raises: true, ..Manner::of(Access::$access) },
                        again,
                        block,
                        |_| true,
                    )
                }
            };
            count(&self.meter, ready, Taken::waiting(Access::$access));
            held
        }
    };
    (try raise $name:ident $from:ident $to:ident: $access:ident) => {
        unsafe fn $name(&self, held: Self::$from) -> Result<Self::$to, Self::$from> {
            let ready = self.meter.ready();
            // SAFETY: the caller holds it.
            counted(unsafe { self.raw().$name(held) }, || {
                count(&self.meter, ready, Taken::tried(Access::$access))
            })
        }
    };
    (try raise $name:ident $from:ident $to:ident: $access:ident after $again:ident for $time:ty) => {
        unsafe fn $name(&self, held: Self::$from, time: $time) -> Result<Self::$to, Self::$from> {
            let ready = self.meter.ready();
            let again = |held| {
                // SAFETY: the caller holds it, and does so until it has more.
                unsafe { self.raw().$again(held) }
            };
            let tried = again(held).or_else(|held| {
                let less = std::cell::Cell::new(Some(held));
                let again =
                    || less.take().and_then(|held| again(held).map_err(|held| less.set(Some(held))).ok());
                // SAFETY: as above.
                let block = || unsafe { self.raw().$name(less.take().expect("it was given back"), time) };
                self.meter.wait(
                    Manner { in_time: true, raises: true, ..Manner::of(Access::$access) },
                    || again().map(Ok),
                    block,
                    Result::is_ok,
                )
            });
            counted(tried, || count(&self.meter, ready, Taken::tried(Access::$access)))
        }
    };
}

/// What a guard of a raw lock has beside the lock.
macro_rules! states {
    (RawMutex) => {
        type Guard = L::Guard;
    };
    (RawRwLock) => {
        type SharedGuard = L::SharedGuard;
        type ExclusiveGuard = L::ExclusiveGuard;
    };
    (RawRwLockUpgrade) => {
        type UpgradableGuard = L::UpgradableGuard;
    };
}

#[path = "family.rs"]
#[allow(clippy::duplicate_mod)] // once for each version, with the macros and the names that are here
mod family;

use crate::trace::event::Class;
use std::any::type_name;
use std::time::{Duration, Instant};
use std::{fmt, ops};

use ::lock_api_0_5 as api;
use ::parking_lot_0_13 as origin;

use super::deadlock::Taken;
use super::meter::Meter;
use super::sync::{goes_on, waits};
use super::{AtFirstUse, Lock, Maker, sealed};
use crate::local::held::Access;
use crate::site::LockSite;
use family::holder::count;
use family::locks;

pub use family::*;

/// Is `Send` if guards are.
type Marker = <origin::RawMutex as api::RawMutex>::Guard;

/// The raw lock beneath [`RecursiveRwLock`].
pub type RawRwLockRecursive = RawRwLockOf<origin::RawRwLockRecursive>;

/// [`parking_lot::RecursiveRwLockReadGuard`](origin::RecursiveRwLockReadGuard) of a profiled lock.
pub type RecursiveRwLockReadGuard<'a, T> = api::RwLockReadGuard<'a, RawRwLockRecursive, T>;
/// [`parking_lot::RecursiveRwLockWriteGuard`](origin::RecursiveRwLockWriteGuard) of a profiled lock.
pub type RecursiveRwLockWriteGuard<'a, T> = api::RwLockWriteGuard<'a, RawRwLockRecursive, T>;
/// [`parking_lot::RecursiveRwLockUpgradableReadGuard`](origin::RecursiveRwLockUpgradableReadGuard) of a profiled lock.
pub type RecursiveRwLockUpgradableReadGuard<'a, T> =
    api::RwLockUpgradableReadGuard<'a, RawRwLockRecursive, T>;
/// [`parking_lot::MappedRecursiveRwLockReadGuard`](origin::MappedRecursiveRwLockReadGuard) of a profiled lock.
pub type MappedRecursiveRwLockReadGuard<'a, T> = api::MappedRwLockReadGuard<'a, RawRwLockRecursive, T>;
/// [`parking_lot::MappedRecursiveRwLockWriteGuard`](origin::MappedRecursiveRwLockWriteGuard) of a profiled lock.
pub type MappedRecursiveRwLockWriteGuard<'a, T> = api::MappedRwLockWriteGuard<'a, RawRwLockRecursive, T>;

locks! {
    RecursiveRwLock: RwLock<RawRwLockRecursive>;
}

/// [`parking_lot::Condvar`](origin::Condvar), whose waits are in the profile `block`: from the call to its return, so that
/// getting the lock again is part of it.
pub type Condvar = api::Condvar<RawCondvar>;

/// What is beneath [`Condvar`].
pub struct RawCondvar(origin::RawCondvar);

impl RawCondvar {
    /// What tells it from all else.
    fn place(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn wait<R>(&self, mutex: &RawMutex, wait: impl FnOnce(&origin::RawCondvar, &origin::RawMutex) -> R) -> R {
        mutex.meter.release();
        let result = waits(Class::Condvar, self.place(), || wait(&self.0, mutex.raw()));
        count(&mutex.meter, mutex.meter.ready(), Taken::waiting(Access::Alone));
        result
    }
}

// SAFETY: it is `parking_lot`'s, with every call passed on; so is the mutex, which is unlocked and locked here alone.
unsafe impl api::RawCondvar for RawCondvar {
    const INIT: RawCondvar = RawCondvar(<origin::RawCondvar as api::RawCondvar>::INIT);

    type RawMutex = RawMutex;

    unsafe fn wait(&self, mutex: &RawMutex, held: &mut <RawMutex as api::RawMutex>::Guard) {
        // SAFETY: as the caller promises.
        self.wait(mutex, |raw, mutex| unsafe { api::RawCondvar::wait(raw, mutex, held) });
    }

    #[inline]
    fn notify_one(&self) -> bool {
        goes_on(Class::Condvar, self.place());
        self.0.notify_one()
    }

    #[inline]
    fn notify_all(&self) -> usize {
        goes_on(Class::Condvar, self.place());
        self.0.notify_all()
    }
}

// SAFETY: as above.
unsafe impl api::RawCondvarTimed for RawCondvar {
    fn checked_duration_to_instant(timeout: &Duration) -> Option<Instant> {
        <origin::RawCondvar as api::RawCondvarTimed>::checked_duration_to_instant(timeout)
    }

    unsafe fn wait_until(
        &self,
        mutex: &RawMutex,
        held: &mut <RawMutex as api::RawMutex>::Guard,
        end: &Instant,
    ) -> bool {
        // SAFETY: as the caller promises.
        self.wait(mutex, |raw, mutex| unsafe { api::RawCondvarTimed::wait_until(raw, mutex, held, end) })
    }

    unsafe fn wait_for(
        &self,
        mutex: &RawMutex,
        held: &mut <RawMutex as api::RawMutex>::Guard,
        time: &Duration,
    ) -> bool {
        // SAFETY: as the caller promises.
        self.wait(mutex, |raw, mutex| unsafe { api::RawCondvarTimed::wait_for(raw, mutex, held, time) })
    }
}

impl fmt::Debug for RawCondvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawCondvar").finish_non_exhaustive()
    }
}
