#![expect(unsafe_code, reason = "an owned guard holds the lock that its inner guard borrows")]
//! `tokio::sync::RwLock`.
use std::any::type_name;
use std::fmt;
use std::sync::Arc;

use ::tokio::sync::{self, TryLockError};

use super::locked;
use crate::hook::lock::meter::Meter;
use crate::hook::lock::{Alone, Profiled, Shared, wraps};
use crate::local::blocked::Manner;
use crate::local::held::Access;

wraps!(RwLock of ::tokio::sync);

impl<T> Profiled<sync::RwLock<T>> {
    /// An unlocked one. Its profile goes by the place this is called from.
    #[track_caller]
    pub fn new(value: T) -> Self {
        Profiled { meter: Meter::here(type_name::<sync::RwLock<T>>), lock: sync::RwLock::new(value) }
    }

    /// The same in constants.
    #[track_caller]
    pub const fn const_new(value: T) -> Self {
        Profiled { meter: Meter::here(type_name::<sync::RwLock<T>>), lock: sync::RwLock::const_new(value) }
    }

    /// One that so many may read at once.
    ///
    /// # Panics
    /// If they are more than `u32::MAX >> 3`.
    #[track_caller]
    pub fn with_max_readers(value: T, max_reads: u32) -> Self {
        let meter = Meter::here(type_name::<sync::RwLock<T>>);
        Profiled { meter, lock: sync::RwLock::with_max_readers(value, max_reads) }
    }

    /// The same in constants.
    ///
    /// # Panics
    /// If they are more than `u32::MAX >> 3`.
    #[track_caller]
    pub const fn const_with_max_readers(value: T, max_reads: u32) -> Self {
        let meter = Meter::here(type_name::<sync::RwLock<T>>);
        Profiled { meter, lock: sync::RwLock::const_with_max_readers(value, max_reads) }
    }

    /// The value, without locking.
    pub fn into_inner(self) -> T {
        self.lock.into_inner()
    }
}

impl<T: ?Sized> Profiled<sync::RwLock<T>> {
    /// The value, without locking: the exclusive borrow is lock enough.
    pub fn get_mut(&mut self) -> &mut T {
        self.lock.get_mut()
    }
}

/// Reading and writing differ in names only.
macro_rules! sides {
    ($(
        $(#[$about:meta])*
        $lock:ident $blocking:ident $try:ident $guard:ident $hold:ident $count:ident $count_of_thread:ident
        $lock_owned:ident $try_owned:ident $owned:ident;
    )*) => {$(
        impl<T: ?Sized> Profiled<sync::RwLock<T>> {
            $(#[$about])*
            ///
            /// Dropping the future gives up.
            pub async fn $lock(&self) -> $guard<'_, T> {
                let inner = locked(&self.meter, self.lock.$lock(), |_| true).await;
                $guard::new(&self.meter, inner)
            }

            /// The same on a thread that runs no tasks.
            ///
            /// # Panics
            /// If the thread runs tasks.
            #[track_caller]
            pub fn $blocking(&self) -> $guard<'_, T> {
                let inner = match self.lock.$try() {
                    Ok(inner) => inner,
                    Err(_) => self.meter.wait(Manner::of(Access::$hold), || self.lock.$try().ok(), || self.lock.$blocking(), |_| true),
                };
                self.meter.$count_of_thread(self.meter.ready());
                $guard { hold: $hold(&self.meter), inner }
            }

            /// The same if it can be had at once.
            ///
            /// # Errors
            /// If it cannot.
            pub fn $try(&self) -> Result<$guard<'_, T>, TryLockError> {
                self.lock.$try().map(|inner| $guard::new(&self.meter, inner))
            }
        }

        impl<T: ?Sized + 'static> Profiled<sync::RwLock<T>> {
            $(#[$about])*
            ///
            /// The guard keeps the lock alive. Dropping the future gives up.
            pub async fn $lock_owned(self: Arc<Self>) -> $owned<T> {
                let guard = self.$lock().await;
                // SAFETY: it is of this lock.
                unsafe { $owned::new(guard, &self) }
            }

            /// The same if it can be had at once.
            ///
            /// # Errors
            /// If it cannot.
            pub fn $try_owned(self: Arc<Self>) -> Result<$owned<T>, TryLockError> {
                let guard = self.$try()?;
                // SAFETY: it is of this lock.
                Ok(unsafe { $owned::new(guard, &self) })
            }
        }

        impl<'a, T: ?Sized> $guard<'a, T> {
            fn new(meter: &'a Meter, inner: sync::$guard<'a, T>) -> Self {
                meter.$count(meter.ready());
                $guard { hold: $hold(meter), inner }
            }
        }

        impl<T: ?Sized + 'static> $owned<T> {
            /// # Safety
            /// `guard` is of `lock`. It is dropped before it, and that does not move.
            unsafe fn new(guard: $guard<'_, T>, lock: &Arc<Profiled<sync::RwLock<T>>>) -> Self {
                // SAFETY: the lifetimes alone differ; what they stand for is kept by the `Arc`.
                let inner = unsafe { std::mem::transmute::<$guard<'_, T>, $guard<'static, T>>(guard) };
                $owned { inner, lock: Arc::clone(lock) }
            }
        }
    )*};
}

sides! {
    /// Waits until it may read, with others that read.
    read blocking_read try_read RwLockReadGuard Shared shared_by_any shared_by_any
    read_owned try_read_owned OwnedRwLockReadGuard;
    /// Waits until it may write, alone.
    write blocking_write try_write RwLockWriteGuard Alone acquired_by_any acquired
    write_owned try_write_owned OwnedRwLockWriteGuard;
}

/// Each guard holds the lock for all or a part of the value, and gives one that does so for a part of that.
macro_rules! maps {
    ($(
        $(#[$about:meta])*
        $guard:ident $hold:ident, for a part $mapped:ident by ($($mutable:tt)*);
    )*) => {$(
        $(#[$about])*
        ///
        /// The fields are dropped in their order: first the charge is made, then the lock released.
        #[must_use = "if unused the RwLock will immediately unlock"]
        #[clippy::has_significant_drop]
        pub struct $guard<'a, T: ?Sized> {
            hold: $hold<'a>,
            inner: sync::$guard<'a, T>,
        }

        impl<'a, T: ?Sized> $guard<'a, T> {
            /// Holds the lock for a part of the value.
            pub fn map<F, U: ?Sized>(this: Self, f: F) -> $mapped<'a, U>
            where
                F: FnOnce(&$($mutable)* T) -> &$($mutable)* U,
            {
                let $guard { hold, inner } = this;
                $mapped { hold, inner: sync::$guard::map(inner, f) }
            }

            /// The same for a part that may not be there.
            ///
            /// # Errors
            /// If it is not, with this guard.
            pub fn try_map<F, U: ?Sized>(this: Self, f: F) -> Result<$mapped<'a, U>, Self>
            where
                F: FnOnce(&$($mutable)* T) -> Option<&$($mutable)* U>,
            {
                let $guard { hold, inner } = this;
                match sync::$guard::try_map(inner, f) {
                    Ok(inner) => Ok($mapped { hold, inner }),
                    Err(inner) => Err($guard { hold, inner }),
                }
            }
        }
    )*};
}

maps! {
    /// The lock, held with others that read. Unlocks when it is dropped.
    RwLockReadGuard Shared, for a part RwLockReadGuard by ();
    /// The lock, held alone. Unlocks when it is dropped.
    RwLockWriteGuard Alone, for a part RwLockMappedWriteGuard by (mut);
    /// The lock, held alone for a part of its value. Unlocks when it is dropped.
    RwLockMappedWriteGuard Alone, for a part RwLockMappedWriteGuard by (mut);
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// The same as a guard of a part, which is all of it.
    pub fn into_mapped(this: Self) -> RwLockMappedWriteGuard<'a, T> {
        let RwLockWriteGuard { hold, inner } = this;
        RwLockMappedWriteGuard { hold, inner: sync::RwLockWriteGuard::into_mapped(inner) }
    }

    /// Lets others read, too. Whoever waits is charged for until now.
    pub fn downgrade(self) -> RwLockReadGuard<'a, T> {
        let RwLockWriteGuard { hold, inner } = self;
        RwLockReadGuard { hold: shares(hold), inner: inner.downgrade() }
    }

    /// Lets others read, too, and holds it for a part of the value.
    pub fn downgrade_map<F: FnOnce(&T) -> &U, U: ?Sized>(this: Self, f: F) -> RwLockReadGuard<'a, U> {
        RwLockReadGuard::map(this.downgrade(), f)
    }

    /// The same for a part that may not be there.
    ///
    /// # Errors
    /// If it is not, with this guard.
    pub fn try_downgrade_map<F, U: ?Sized>(this: Self, f: F) -> Result<RwLockReadGuard<'a, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
    {
        let RwLockWriteGuard { hold, inner } = this;
        match sync::RwLockWriteGuard::try_downgrade_map(inner, f) {
            Ok(inner) => Ok(RwLockReadGuard { hold: shares(hold), inner }),
            Err(inner) => Err(RwLockWriteGuard { hold, inner }),
        }
    }
}

/// Whoever held it alone shares it now.
fn shares(hold: Alone<'_>) -> Shared<'_> {
    let meter = hold.0;
    drop(hold);
    Shared(meter)
}

/// The lock, held with others that read, and kept alive. Unlocks when it is dropped.
#[must_use = "if unused the RwLock will immediately unlock"]
#[clippy::has_significant_drop]
pub struct OwnedRwLockReadGuard<T: ?Sized + 'static, U: ?Sized + 'static = T> {
    // In the order in which they are dropped.
    inner: RwLockReadGuard<'static, U>,
    lock: Arc<Profiled<sync::RwLock<T>>>,
}

/// The lock, held alone and kept alive. Unlocks when it is dropped.
#[must_use = "if unused the RwLock will immediately unlock"]
#[clippy::has_significant_drop]
pub struct OwnedRwLockWriteGuard<T: ?Sized + 'static> {
    // In the order in which they are dropped.
    inner: RwLockWriteGuard<'static, T>,
    lock: Arc<Profiled<sync::RwLock<T>>>,
}

/// The lock, held alone for a part of its value and kept alive. Unlocks when it is dropped.
#[must_use = "if unused the RwLock will immediately unlock"]
#[clippy::has_significant_drop]
pub struct OwnedRwLockMappedWriteGuard<T: ?Sized + 'static, U: ?Sized + 'static = T> {
    // In the order in which they are dropped.
    inner: RwLockMappedWriteGuard<'static, U>,
    lock: Arc<Profiled<sync::RwLock<T>>>,
}

/// The same of those that keep the lock alive.
macro_rules! maps_owned {
    ($($owned:ident<$all:ident $(, $part:ident)?> of $guard:ident by ($($mutable:tt)*) from $from:ident: $mapped:ident;)*) => {$(
        impl<$all: ?Sized + 'static $(, $part: ?Sized + 'static)?> $owned<$all $(, $part)?> {
            /// Holds the lock for a part of the value.
            pub fn map<F, V: ?Sized>(this: Self, f: F) -> $mapped<$all, V>
            where
                F: FnOnce(&$($mutable)* $from) -> &$($mutable)* V,
            {
                let $owned { inner, lock } = this;
                $mapped { inner: $guard::map(inner, f), lock }
            }

            /// The same for a part that may not be there.
            ///
            /// # Errors
            /// If it is not, with this guard.
            pub fn try_map<F, V: ?Sized>(this: Self, f: F) -> Result<$mapped<$all, V>, Self>
            where
                F: FnOnce(&$($mutable)* $from) -> Option<&$($mutable)* V>,
            {
                let $owned { inner, lock } = this;
                match $guard::try_map(inner, f) {
                    Ok(inner) => Ok($mapped { inner, lock }),
                    Err(inner) => Err($owned { inner, lock }),
                }
            }

            /// The lock.
            pub fn rwlock(this: &Self) -> &Arc<Profiled<sync::RwLock<$all>>> {
                &this.lock
            }
        }
    )*};
}

maps_owned! {
    OwnedRwLockReadGuard<T, U> of RwLockReadGuard by () from U: OwnedRwLockReadGuard;
    OwnedRwLockWriteGuard<T> of RwLockWriteGuard by (mut) from T: OwnedRwLockMappedWriteGuard;
    OwnedRwLockMappedWriteGuard<T, U> of RwLockMappedWriteGuard by (mut) from U: OwnedRwLockMappedWriteGuard;
}

impl<T: ?Sized + 'static> OwnedRwLockWriteGuard<T> {
    /// The same as a guard of a part, which is all of it.
    pub fn into_mapped(this: Self) -> OwnedRwLockMappedWriteGuard<T> {
        let OwnedRwLockWriteGuard { inner, lock } = this;
        OwnedRwLockMappedWriteGuard { inner: RwLockWriteGuard::into_mapped(inner), lock }
    }

    /// Lets others read, too. Whoever waits is charged for until now.
    pub fn downgrade(self) -> OwnedRwLockReadGuard<T> {
        let OwnedRwLockWriteGuard { inner, lock } = self;
        OwnedRwLockReadGuard { inner: inner.downgrade(), lock }
    }

    /// Lets others read, too, and holds it for a part of the value.
    pub fn downgrade_map<F: FnOnce(&T) -> &U, U: ?Sized>(this: Self, f: F) -> OwnedRwLockReadGuard<T, U> {
        OwnedRwLockReadGuard::map(this.downgrade(), f)
    }

    /// The same for a part that may not be there.
    ///
    /// # Errors
    /// If it is not, with this guard.
    pub fn try_downgrade_map<F, U: ?Sized>(this: Self, f: F) -> Result<OwnedRwLockReadGuard<T, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
    {
        let OwnedRwLockWriteGuard { inner, lock } = this;
        match RwLockWriteGuard::try_downgrade_map(inner, f) {
            Ok(inner) => Ok(OwnedRwLockReadGuard { inner, lock }),
            Err(inner) => Err(OwnedRwLockWriteGuard { inner, lock }),
        }
    }
}

guards! {
    shared RwLockReadGuard<'a, T> of T;
    alone RwLockWriteGuard<'a, T> of T;
    alone RwLockMappedWriteGuard<'a, T> of T;
    shared OwnedRwLockReadGuard<T: 'static, U: 'static> of U;
    alone OwnedRwLockWriteGuard<T: 'static> of T;
    alone OwnedRwLockMappedWriteGuard<T: 'static, U: 'static> of U;
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Profiled<sync::RwLock<T>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}

impl<T: Default> Default for Profiled<sync::RwLock<T>> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Profiled<sync::RwLock<T>> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new(value)
    }
}
