#![expect(unsafe_code, reason = "a raw lock is unlocked by whoever holds it, which its caller promises")]
//! `parking_lot` 0.12, name for name.
//!
//! Here is what is its own: whoever holds a raw lock has nothing to show for it, and a condition variable waits with a
//! guard.

/// A method of a raw lock, in a trait that has it: how it gets the lock, tries to, gives it back, or turns one way of
/// holding it into another.
macro_rules! method {
    (get $name:ident $state:ident: $count:ident after $again:ident) => {
        #[inline]
        fn $name(&self) {
            get(&self.meter, || self.raw().$again(), || self.raw().$name());
            $count(&self.meter);
        }
    };
    (try $name:ident $state:ident: $count:ident) => {
        #[inline]
        fn $name(&self) -> bool {
            counted(self.raw().$name(), || $count(&self.meter))
        }
    };
    (try $name:ident $state:ident: $count:ident after $again:ident for $time:ty) => {
        fn $name(&self, time: $time) -> bool {
            let tried = get_in_time(&self.meter, || self.raw().$again(), || self.raw().$name(time));
            counted(tried, || $count(&self.meter))
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
    (lower $name:ident $from:ident $to:ident: $release:ident) => {
        unsafe fn $name(&self) {
            self.meter.$release();
            // SAFETY: the caller holds it.
            unsafe { self.raw().$name() };
            lowered(&self.meter);
        }
    };
    (raise $name:ident $from:ident $to:ident: $count:ident after $again:ident) => {
        unsafe fn $name(&self) {
            // SAFETY: the caller holds it, and does so until it has more.
            unsafe { get(&self.meter, || self.raw().$again(), || self.raw().$name()) };
            $count(&self.meter);
        }
    };
    (try raise $name:ident $from:ident $to:ident: $count:ident) => {
        unsafe fn $name(&self) -> bool {
            // SAFETY: the caller holds it.
            counted(unsafe { self.raw().$name() }, || $count(&self.meter))
        }
    };
    (try raise $name:ident $from:ident $to:ident: $count:ident after $again:ident for $time:ty) => {
        unsafe fn $name(&self, time: $time) -> bool {
            let again = || {
                // SAFETY: the caller holds it, and does so until it has more.
                unsafe { self.raw().$again() }
            };
            let block = || {
                // SAFETY: as above.
                unsafe { self.raw().$name(time) }
            };
            let tried = get_in_time(&self.meter, again, block);
            counted(tried, || $count(&self.meter))
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

use family::holder::{shared, tried_shared};
use family::tried::{counted, get, get_in_time};

/// Is `Send` if guards are.
type Marker = <origin::RawMutex as api::RawMutex>::GuardMarker;

pub use condvar::Condvar;
pub use family::*;

// SAFETY: as the other traits of this lock.
unsafe impl<L: api::RawRwLockRecursive> api::RawRwLockRecursive for RawRwLockOf<L> {
    method! { get lock_shared_recursive SharedGuard: shared after try_lock_shared_recursive }
    method! { try try_lock_shared_recursive SharedGuard: tried_shared }
}

// SAFETY: as above.
unsafe impl<L> api::RawRwLockRecursiveTimed for RawRwLockOf<L>
where
    L: api::RawRwLockRecursiveTimed<Duration = Duration, Instant = Instant>,
{
    method! { try try_lock_shared_recursive_for SharedGuard: tried_shared after try_lock_shared_recursive for Duration }
    method! { try try_lock_shared_recursive_until SharedGuard: tried_shared after try_lock_shared_recursive for Instant }
}
