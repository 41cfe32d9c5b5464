//! Locks that know who waited and who made them wait: profiles `mutex` and `block`, and one a lock under its name.
//!
//! An uncontended lock costs a count in the thread's counter and, at the unlock, one relaxed load. A waiter is cold:
//! it notes when it began, waits as the lock itself waits, and books what it waited at its own stack, in `block`.
//! Whoever unlocks while somebody waits is charged, in `mutex`, for everything that was waited since the last charge.
mod account;
mod book;
pub(crate) mod deadlock;
#[cfg_attr(
    not(any(feature = "parking_lot", feature = "parking_lot_0_13")),
    expect(dead_code, reason = "they need it")
)]
mod first_use;
mod meter;
#[cfg(feature = "parking_lot")]
#[path = "parking_lot/v0_12.rs"]
pub mod parking_lot;
#[cfg(feature = "parking_lot_0_13")]
#[path = "parking_lot/v0_13.rs"]
pub mod parking_lot_0_13;
mod region;
mod report;
pub(crate) mod sync;
#[cfg(feature = "tokio")]
pub(crate) mod tokio;
pub(crate) mod traced;
mod wait;
pub(crate) mod waiting;

use crate::site::LockSite;
use meter::Meter;

pub use book::{set_block_rate, set_mutex_fraction};
pub use first_use::AtFirstUse;
pub(crate) use meter::Stats;
pub use region::{Region, region};
pub(crate) use report::profile_of;
#[cfg_attr(not(profiled_interpose), expect(unused_imports, reason = "nobody else books"))]
pub(crate) use report::{rates, with_waiting};

/// Whoever waited in the parent does not wait here.
pub(crate) fn after_fork_in_child() {
    waiting::after_fork_in_child();
}

/// Held by one alone, until this is dropped: right before the lock itself is released.
#[derive(Debug)]
struct Alone<'a>(&'a Meter);

impl Drop for Alone<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.release();
    }
}

/// Held by one of several.
#[derive(Debug)]
struct Shared<'a>(&'a Meter);

impl Drop for Shared<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.release_shared();
    }
}

/// What [`profile_mutex!`](crate::profile_mutex!) can wrap.
#[diagnostic::on_unimplemented(
    message = "`profile_mutex!` cannot wrap `{Self}`",
    label = "not a lock that `profiled` knows",
    note = "it takes a `Mutex` or `RwLock` of `std::sync`, `parking_lot` or `tokio::sync`"
)]
pub trait Lock: sealed::Sealed + Sized {
    /// The lock as it comes out. One that is profiled already stays as it is.
    type Wrapped;

    /// The same in a static.
    #[doc(hidden)]
    type Static;

    #[doc(hidden)]
    fn wrap(self, site: &'static LockSite) -> Self::Wrapped;

    /// The same of one in a static, which nobody has used or named yet.
    #[doc(hidden)]
    fn wrap_static(self, site: &'static LockSite) -> Self::Wrapped {
        self.wrap(site)
    }
}

pub(crate) mod sealed {
    pub trait Sealed {}
    impl<L: Sealed> Sealed for super::Profiled<L> {}
}

/// How each kind of lock is wrapped.
macro_rules! wraps {
    ($lock:ident of $($path:tt)+) => {
        impl<T> $crate::hook::lock::sealed::Sealed for $($path)+::$lock<T> {}

        impl<T> $crate::hook::lock::Lock for $($path)+::$lock<T> {
            type Wrapped = $crate::hook::lock::Profiled<$($path)+::$lock<T>>;
            type Static = Self::Wrapped;

            fn wrap(self, site: &'static $crate::site::LockSite) -> Self::Wrapped {
                $crate::hook::lock::Profiled::with_site(site, self)
            }
        }

        impl<T> $crate::hook::lock::Maker<$($path)+::$lock<T>> {
            /// Wraps it.
            pub const fn wrap(
                site: &'static $crate::site::LockSite,
                lock: $($path)+::$lock<T>,
            ) -> $crate::hook::lock::Profiled<$($path)+::$lock<T>> {
                $crate::hook::lock::Profiled::with_site(site, lock)
            }
        }
    };
}
use wraps;

impl<L: Lock> Lock for Profiled<L> {
    type Wrapped = Profiled<L>;
    type Static = Profiled<L>;

    fn wrap(mut self, site: &'static LockSite) -> Profiled<L> {
        self.meter.name_unused(site);
        self
    }
}

/// What the static form of `profile_mutex!` calls: `Lock::wrap`, in a constant.
#[doc(hidden)]
#[derive(Debug)]
pub struct Maker<L>(std::marker::PhantomData<L>);

impl<L> Maker<Profiled<L>> {
    /// It is wrapped already, and gets a name if it has none.
    pub const fn wrap(site: &'static LockSite, mut lock: Profiled<L>) -> Profiled<L> {
        lock.meter.name(site);
        lock
    }
}

/// A lock with its bookkeeping: made by [`profile_mutex!`](crate::profile_mutex!), or by the `new` of a typed wrapper
/// such as [`sync::Mutex`](crate::sync::Mutex).
///
/// It has the lock's own API, to the letter. It adds 96 bytes.
pub struct Profiled<L: ?Sized> {
    meter: Meter,
    lock: L,
}

impl<L: Lock> Profiled<L> {
    /// What `profile_mutex!` expands to.
    #[doc(hidden)]
    pub const fn with_site(site: &'static LockSite, lock: L) -> Self {
        Profiled { meter: Meter::at(site, std::any::type_name::<L>), lock }
    }
}

/// Profiles a lock: who waited for it, and who made them wait.
///
/// ```
/// use std::sync::Mutex;
///
/// // An expression, under a name, or under its module and line.
/// let orders = profiled::profile_mutex!("orders", Mutex::new(vec![1, 2]));
/// let others = profiled::profile_mutex!(Mutex::new(0));
/// orders.lock().unwrap().push(3);
///
/// // Statics, under their module and name.
/// profiled::profile_mutex! {
///     /// All that came in.
///     pub static SEEN: Mutex<Vec<u32>> = Mutex::new(Vec::new());
/// }
/// # fn main() {}
/// # SEEN.lock().unwrap().push(*others.lock().unwrap());
/// # assert_eq!(orders.into_inner().unwrap(), [1, 2, 3]);
/// ```
///
/// The lock comes out as a [`Profiled`](crate::sync::Profiled) of the same API: where its type is spelled, write
/// [`sync::Mutex`](crate::sync::Mutex), which is the standard library's own when this crate is switched off. All
/// locks made at one place share a profile, which [`lookup`](crate::lookup) finds by the name.
#[macro_export]
macro_rules! profile_mutex {
    ($($(#[$attribute:meta])* $visibility:vis static $id:ident : $type:ty = $lock:expr);+ $(;)?) => {$(
        $(#[$attribute])*
        $visibility static $id: <$type as $crate::__private::Lock>::Static =
            $crate::__private::Maker::<$type>::wrap(
                $crate::__lock_site!(::core::concat!(::core::module_path!(), "::", ::core::stringify!($id))),
                $lock,
            );
    )+};
    // These are no expressions, which the next ones would say of them.
    (static $($other:tt)*) => {
        $crate::profile_mutex! { @ }
    };
    (pub $($other:tt)*) => {
        $crate::profile_mutex! { @ }
    };
    (const $id:ident $($other:tt)*) => {
        $crate::profile_mutex! { @ }
    };
    (# $($other:tt)*) => {
        $crate::profile_mutex! { @ }
    };
    ($name:expr, $lock:expr $(,)?) => {
        $crate::__private::Lock::wrap($lock, $crate::__lock_site!($name))
    };
    ($lock:expr $(,)?) => {
        $crate::__private::Lock::wrap(
            $lock,
            $crate::__lock_site!(::core::concat!(::core::module_path!(), ":", ::core::line!())),
        )
    };
    ($($other:tt)*) => {
        ::core::compile_error! {
            "`profile_mutex!` takes one of\n    \
             profile_mutex!(\"name\", lock)\n    \
             profile_mutex!(lock)\n    \
             profile_mutex! { static ID: Type = lock; .. }"
        }
    };
}

/// A site, registered.
#[doc(hidden)]
#[macro_export]
macro_rules! __lock_site {
    ($name:expr) => {{
        static SITE: $crate::__private::LockSite =
            $crate::__private::LockSite::new($name, ::core::file!(), ::core::line!(), ::core::column!());
        $crate::__private::submit! { $crate::__private::Entry::Lock(&SITE) }
        &SITE
    }};
}
