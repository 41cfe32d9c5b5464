#![expect(unsafe_code, reason = "a raw lock is unlocked by whoever holds it, which its caller promises")]
//! `parking_lot` 0.12, name for name.
//!
//! Here is what is its own: whoever holds a raw lock has nothing to show for it, and a condition variable waits with a
//! guard.

/// A method of a raw lock, in a trait that has it: how it gets the lock, tries to, gives it back, or turns one way of
/// holding it into another.
macro_rules! method {
    (get $name:ident $state:ident: $access:ident after $again:ident $(and $fetch:ident)?) => {
        #[inline]
        fn $name(&self) {
            $(self.$fetch();)?
            let ready = self.meter.ready();
            get(&self.meter, Manner::of(Access::$access), || self.raw().$again(), || self.raw().$name());
            count(&self.meter, ready, Taken::waiting(Access::$access));
        }
    };
    (try $name:ident $state:ident: $access:ident) => {
        #[inline]
        fn $name(&self) -> bool {
            let ready = self.meter.ready();
            counted(self.raw().$name(), || count(&self.meter, ready, Taken::tried(Access::$access)))
        }
    };
    (try $name:ident $state:ident: $access:ident after $again:ident for $time:ty) => {
        fn $name(&self, time: $time) -> bool {
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
        unsafe fn $name(&self) {
            self.meter.$release();
            // SAFETY: the caller holds it.
            unsafe { self.raw().$name() };
        }
    };
    (lower $name:ident $from:ident $to:ident: $release:ident, $access:ident) => {
        unsafe fn $name(&self) {
            self.meter.$release();
            // SAFETY: the caller holds it.
            unsafe { self.raw().$name() };
            lowered(&self.meter, Access::$access);
        }
    };
    (raise $name:ident $from:ident $to:ident: $access:ident after $again:ident) => {
        unsafe fn $name(&self) {
            let ready = self.meter.ready();
            // SAFETY: the caller holds it, and does so until it has more.
            unsafe {
                get(
                    &self.meter,
                    Manner { raises: true, ..Manner::of(Access::$access) },
                    || self.raw().$again(),
                    || self.raw().$name(),
                )
            };
            count(&self.meter, ready, Taken::waiting(Access::$access));
        }
    };
    (try raise $name:ident $from:ident $to:ident: $access:ident) => {
        unsafe fn $name(&self) -> bool {
            let ready = self.meter.ready();
            // SAFETY: the caller holds it.
            counted(unsafe { self.raw().$name() }, || {
                count(&self.meter, ready, Taken::tried(Access::$access))
            })
        }
    };
    (try raise $name:ident $from:ident $to:ident: $access:ident after $again:ident for $time:ty) => {
        unsafe fn $name(&self, time: $time) -> bool {
            let ready = self.meter.ready();
            let again = || {
                // SAFETY: the caller holds it, and does so until it has more.
                unsafe { self.raw().$again() }
            };
            let block = || {
                // SAFETY: as above.
                unsafe { self.raw().$name(time) }
            };
            let tried = get_in_time(
                &self.meter,
                Manner { raises: true, ..Manner::of(Access::$access) },
                again,
                block,
            );
            counted(tried, || count(&self.meter, ready, Taken::tried(Access::$access)))
        }
    };
}

/// What a guard of a raw lock has beside the lock: whether it may be sent.
macro_rules! states {
    (RawRwLockUpgrade) => {};
    ($lock:ident) => {
        type GuardMarker = L::GuardMarker;
    };
}

mod condvar;
#[path = "family.rs"]
#[allow(clippy::duplicate_mod)] // once for each version, with the macros and the names that are here
mod family;

use std::time::{Duration, Instant};

use ::lock_api as api;
use ::parking_lot as origin;

use super::deadlock::Taken;
use crate::local::blocked::Manner;
use crate::local::held::Access;
use family::holder::count;
use family::tried::{counted, get, get_in_time};

/// Is `Send` if guards are.
type Marker = <origin::RawMutex as api::RawMutex>::GuardMarker;

pub use condvar::Condvar;
pub use family::*;

// SAFETY: as the other traits of this lock.
unsafe impl<L: api::RawRwLockRecursive> api::RawRwLockRecursive for RawRwLockOf<L> {
    method! { get lock_shared_recursive SharedGuard: Shared after try_lock_shared_recursive }
    method! { try try_lock_shared_recursive SharedGuard: Shared }
}

// SAFETY: as above.
unsafe impl<L> api::RawRwLockRecursiveTimed for RawRwLockOf<L>
where
    L: api::RawRwLockRecursiveTimed<Duration = Duration, Instant = Instant>,
{
    method! { try try_lock_shared_recursive_for SharedGuard: Shared after try_lock_shared_recursive for Duration }
    method! { try try_lock_shared_recursive_until SharedGuard: Shared after try_lock_shared_recursive for Instant }
}
