//! `parking_lot` 0.12, name for name.
//!
//! Its locks are those of `lock_api` around a raw lock. Ours are the same around a raw lock of ours, so that guards, mapped
//! guards, timeouts and fair unlocking are `lock_api`'s own; each is in a type that knows where it was made and
//! otherwise is, by `Deref`, that lock.
mod condvar;
mod raw_mutex;
mod raw_rwlock;

use std::any::type_name;
use std::{fmt, ops};

use super::meter::Meter;
use super::{Lock, sealed};
use crate::site::LockSite;

pub use ::parking_lot::{RawThreadId, WaitTimeoutResult};
pub use condvar::Condvar;
pub use raw_mutex::RawMutex;
pub use raw_rwlock::RawRwLock;

/// [`parking_lot::MutexGuard`](::parking_lot::MutexGuard) of a profiled lock.
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;
/// [`parking_lot::MappedMutexGuard`](::parking_lot::MappedMutexGuard) of a profiled lock.
pub type MappedMutexGuard<'a, T> = lock_api::MappedMutexGuard<'a, RawMutex, T>;
/// [`parking_lot::ReentrantMutexGuard`](::parking_lot::ReentrantMutexGuard) of a profiled lock.
pub type ReentrantMutexGuard<'a, T> = lock_api::ReentrantMutexGuard<'a, RawMutex, RawThreadId, T>;
/// [`parking_lot::MappedReentrantMutexGuard`](::parking_lot::MappedReentrantMutexGuard) of a profiled lock.
pub type MappedReentrantMutexGuard<'a, T> = lock_api::MappedReentrantMutexGuard<'a, RawMutex, RawThreadId, T>;
/// [`parking_lot::RwLockReadGuard`](::parking_lot::RwLockReadGuard) of a profiled lock.
pub type RwLockReadGuard<'a, T> = lock_api::RwLockReadGuard<'a, RawRwLock, T>;
/// [`parking_lot::RwLockWriteGuard`](::parking_lot::RwLockWriteGuard) of a profiled lock.
pub type RwLockWriteGuard<'a, T> = lock_api::RwLockWriteGuard<'a, RawRwLock, T>;
/// [`parking_lot::RwLockUpgradableReadGuard`](::parking_lot::RwLockUpgradableReadGuard) of a profiled lock.
pub type RwLockUpgradableReadGuard<'a, T> = lock_api::RwLockUpgradableReadGuard<'a, RawRwLock, T>;
/// [`parking_lot::MappedRwLockReadGuard`](::parking_lot::MappedRwLockReadGuard) of a profiled lock.
pub type MappedRwLockReadGuard<'a, T> = lock_api::MappedRwLockReadGuard<'a, RawRwLock, T>;
/// [`parking_lot::MappedRwLockWriteGuard`](::parking_lot::MappedRwLockWriteGuard) of a profiled lock.
pub type MappedRwLockWriteGuard<'a, T> = lock_api::MappedRwLockWriteGuard<'a, RawRwLock, T>;

macro_rules! locks {
    ($($name:ident $raw:ident ($($extra:ty = $make:expr)?);)*) => {$(
        #[doc = concat!("[`parking_lot::", stringify!($name), "`](::parking_lot::", stringify!($name), "), profiled;")]
        /// with this crate switched off it is that very type.
        ///
        /// It derefs to the lock of `lock_api`, whose methods are its own.
        pub struct $name<T: ?Sized>(lock_api::$name<$raw, $($extra,)? T>);

        impl<T> $name<T> {
            /// An unlocked one. Its profile goes by the place this is called from.
            #[track_caller]
            pub const fn new(value: T) -> $name<T> {
                let raw = $raw::new(Meter::here(type_name::<::parking_lot::$name<T>>));
                $name(lock_api::$name::from_raw(raw, $($make,)? value))
            }

            /// The value, without locking.
            pub fn into_inner(self) -> T {
                self.0.into_inner()
            }
        }

        impl<T: ?Sized> ops::Deref for $name<T> {
            type Target = lock_api::$name<$raw, $($extra,)? T>;

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

        impl<T> sealed::Sealed for ::parking_lot::$name<T> {}

        impl<T> Lock for ::parking_lot::$name<T> {
            type Wrapped = $name<T>;

            fn wrap(self, site: &'static LockSite) -> $name<T> {
                let raw = $raw::new(Meter::at(site, type_name::<::parking_lot::$name<T>>));
                $name(lock_api::$name::from_raw(raw, $($make,)? self.into_inner()))
            }
        }

        impl<T> sealed::Sealed for $name<T> {}

        impl<T> Lock for $name<T> {
            type Wrapped = $name<T>;

            /// Its name stays: it goes by its place.
            fn wrap(self, _site: &'static LockSite) -> $name<T> {
                self
            }
        }
    )*};
}

locks! {
    Mutex RawMutex ();
    ReentrantMutex RawMutex (RawThreadId = <RawThreadId as lock_api::GetThreadId>::INIT);
    RwLock RawRwLock ();
}
