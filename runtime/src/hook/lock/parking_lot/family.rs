//! What the versions of `parking_lot` have in common: compiled once for each, in a module that says which.
//!
//! Its locks are those of `lock_api` around a raw lock. Ours are the same around a raw lock of ours, so that guards, mapped
//! guards, timeouts and fair unlocking are `lock_api`'s own; each is in a type that knows where it was made and
//! otherwise is, by `Deref`, that lock.
pub(super) mod holder;
mod raw_mutex;
mod raw_rwlock;
pub(super) mod tried;

use std::any::type_name;
use std::{fmt, ops};

use super::{api, origin};
use crate::hook::lock::meter::Meter;
use crate::hook::lock::{AtFirstUse, Lock, Maker, sealed};
use crate::site::LockSite;

pub use origin::{RawThreadId, WaitTimeoutResult, lock_api};
pub use raw_mutex::{RawFairMutex, RawMutex, RawMutexOf};
pub use raw_rwlock::{RawRwLock, RawRwLockOf};

/// [`parking_lot::MutexGuard`](origin::MutexGuard) of a profiled lock.
pub type MutexGuard<'a, T> = api::MutexGuard<'a, RawMutex, T>;
/// [`parking_lot::MappedMutexGuard`](origin::MappedMutexGuard) of a profiled lock.
pub type MappedMutexGuard<'a, T> = api::MappedMutexGuard<'a, RawMutex, T>;
/// [`parking_lot::FairMutexGuard`](origin::FairMutexGuard) of a profiled lock.
pub type FairMutexGuard<'a, T> = api::MutexGuard<'a, RawFairMutex, T>;
/// [`parking_lot::MappedFairMutexGuard`](origin::MappedFairMutexGuard) of a profiled lock.
pub type MappedFairMutexGuard<'a, T> = api::MappedMutexGuard<'a, RawFairMutex, T>;
/// [`parking_lot::ReentrantMutexGuard`](origin::ReentrantMutexGuard) of a profiled lock.
pub type ReentrantMutexGuard<'a, T> = api::ReentrantMutexGuard<'a, RawMutex, RawThreadId, T>;
/// [`parking_lot::MappedReentrantMutexGuard`](origin::MappedReentrantMutexGuard) of a profiled lock.
pub type MappedReentrantMutexGuard<'a, T> = api::MappedReentrantMutexGuard<'a, RawMutex, RawThreadId, T>;
/// [`parking_lot::RwLockReadGuard`](origin::RwLockReadGuard) of a profiled lock.
pub type RwLockReadGuard<'a, T> = api::RwLockReadGuard<'a, RawRwLock, T>;
/// [`parking_lot::RwLockWriteGuard`](origin::RwLockWriteGuard) of a profiled lock.
pub type RwLockWriteGuard<'a, T> = api::RwLockWriteGuard<'a, RawRwLock, T>;
/// [`parking_lot::RwLockUpgradableReadGuard`](origin::RwLockUpgradableReadGuard) of a profiled lock.
pub type RwLockUpgradableReadGuard<'a, T> = api::RwLockUpgradableReadGuard<'a, RawRwLock, T>;
/// [`parking_lot::MappedRwLockReadGuard`](origin::MappedRwLockReadGuard) of a profiled lock.
pub type MappedRwLockReadGuard<'a, T> = api::MappedRwLockReadGuard<'a, RawRwLock, T>;
/// [`parking_lot::MappedRwLockWriteGuard`](origin::MappedRwLockWriteGuard) of a profiled lock.
pub type MappedRwLockWriteGuard<'a, T> = api::MappedRwLockWriteGuard<'a, RawRwLock, T>;

macro_rules! locks {
    ($($name:ident: $lock:ident<$raw:ident> $(, $extra:ty = $make:expr)?;)*) => {$(
        #[doc = concat!("[`parking_lot::", stringify!($name), "`](origin::", stringify!($name), "), profiled;")]
        /// with this crate switched off it is that very type.
        ///
        /// It derefs to the lock of `lock_api`, whose methods are its own.
        pub struct $name<T: ?Sized>(api::$lock<$raw, $($extra,)? T>);

        impl<T> $name<T> {
            /// An unlocked one. Its profile goes by the place this is called from.
            #[track_caller]
            pub const fn new(value: T) -> $name<T> {
                $name::metered(Meter::here(type_name::<origin::$name<T>>), value)
            }

            const fn metered(meter: Meter, value: T) -> $name<T> {
                $name(api::$lock::from_raw($raw::new(meter), $($make,)? value))
            }

            /// The value, without locking.
            pub fn into_inner(self) -> T {
                self.0.into_inner()
            }
        }

        impl<T: ?Sized> ops::Deref for $name<T> {
            type Target = api::$lock<$raw, $($extra,)? T>;

            #[inline]
            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        impl<T: ?Sized> ops::DerefMut for $name<T> {
            #[inline]
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.0
            }
        }

        impl<T: ?Sized + fmt::Debug> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<T: Default> Default for $name<T> {
            #[track_caller]
            fn default() -> $name<T> {
                $name::new(T::default())
            }
        }

        impl<T> From<T> for $name<T> {
            #[track_caller]
            fn from(value: T) -> $name<T> {
                $name::new(value)
            }
        }

        impl<T> sealed::Sealed for origin::$name<T> {}

        impl<T> Lock for origin::$name<T> {
            type Wrapped = $name<T>;
            type Static = AtFirstUse<Self>;

            fn wrap(self, site: &'static LockSite) -> $name<T> {
                let meter = Meter::at(site, type_name::<origin::$name<T>>);
                $name::metered(meter, self.into_inner())
            }
        }

        impl<T> Maker<origin::$name<T>> {
            /// Wraps it.
            pub const fn wrap(site: &'static LockSite, lock: origin::$name<T>) -> AtFirstUse<origin::$name<T>> {
                AtFirstUse::new(site, lock)
            }
        }

        impl<T> sealed::Sealed for $name<T> {}

        impl<T> Lock for $name<T> {
            type Wrapped = $name<T>;
            type Static = AtFirstUse<Self>;

            /// Its name stays: it goes by its place.
            fn wrap(self, _site: &'static LockSite) -> $name<T> {
                self
            }

            fn wrap_static(self, site: &'static LockSite) -> $name<T> {
                let meter = Meter::at(site, type_name::<origin::$name<T>>);
                $name::metered(meter, self.into_inner())
            }
        }

        impl<T> Maker<$name<T>> {
            /// Gives it a name.
            pub const fn wrap(site: &'static LockSite, lock: $name<T>) -> AtFirstUse<$name<T>> {
                AtFirstUse::new(site, lock)
            }
        }
    )*};
}
#[allow(unused_imports)] // one version has one more
pub(super) use locks;

locks! {
    Mutex: Mutex<RawMutex>;
    FairMutex: Mutex<RawFairMutex>;
    ReentrantMutex: ReentrantMutex<RawMutex>, RawThreadId = <RawThreadId as api::GetThreadId>::INIT;
    RwLock: RwLock<RawRwLock>;
}
