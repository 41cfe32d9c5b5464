//! The crate when it is switched on: its public face. `off` is the same face with nothing behind it.
pub use crate::hook::alloc::Allocator;
pub use crate::hook::custom::{Key, Tracked};
pub use crate::profile::{Profile, lookup, profiles};
pub use crate::snapshot::{SampleRef, Snapshot};
#[cfg(feature = "criterion")]
pub use crate::surface::criterion;
pub use crate::surface::environment::{Guard, init};
pub use crate::surface::http;
pub use crate::symbol::Frame;

/// The heap: what is alive, and what was ever allocated.
///
/// With [`Allocator`] in place the profiles `heap` and `allocs` fill by themselves. Here are the figures
/// ([`stats`](heap::stats)), the heap when it was largest ([`peak`](heap::peak)), also in a file that outlives the process
/// ([`peak_file`](heap::peak_file), [`read_peak_file`](heap::read_peak_file)), what has been alive for a while
/// ([`older_than`](heap::older_than)), and the rate of samples ([`set_rate`](heap::set_rate)).
pub mod heap {
    pub use crate::hook::alloc::{
        Estimate, Stats, older_than, peak, peak_file, rate, read_peak_file, set_rate, stats, write,
    };
}

/// Waiting: who waited, and how long, and who waits right now.
///
/// Locks, condition variables, channels and initialisations of [`sync`] are in the profile `block` by themselves; any
/// other wait is with [`region`](block::region). With the feature `interpose`, on Linux with glibc, it has those of the
/// whole process besides, as soon as they are over: whatever waits through a futex, in any dependency, and joins of
/// threads. Their label `wait` says for what: `mutex`, `rwlock`, `once`, `condvar`, `park`, `channel`, `join`, or `futex` for
/// what is none of these; the label `idle` names the pool whose thread waits for work. Text leaves idle rows out, over
/// HTTP unless `idle=1`. A comment says whether it is active.
pub mod block {
    pub use crate::hook::lock::{Region, region, set_block_rate as set_rate};
}

/// Contention: who held a lock while others waited.
///
/// With the feature `interpose` this, too, is of the whole process, for what somebody holds: `wait` is `mutex`, `rwlock` or
/// `once`. Of four threads of which one holds the lock for 3 ms at a time, that one is charged 96 to 98 % with a plain
/// [`std::sync::Mutex`], and 95 to 98 % with `parking_lot`, whose waiters wait at a word of their own: there a holder is
/// charged from when it was woken, and the rest goes to whoever woke it. What was waited while nobody held anything is in
/// the row `[wake-up]`.
pub mod mutex {
    pub use crate::hook::lock::set_mutex_fraction as set_fraction;
}

/// Deadlocks: who waits for whom.
///
/// The profile `deadlock` is made on request: the threads that wait for one another for ever, each with its stack, what it
/// waits for and what it holds, and with [`check_order`](deadlock::check_order) the locks that were taken in both orders,
/// before that becomes a deadlock. [`watch`](deadlock::watch) tells of either by itself. Nothing that passes by itself is
/// reported: neither a program that is only busy nor a lock that is waited for no longer than a time.
///
/// It knows who holds a profiled lock of the standard library or of `parking_lot` alone, and of `tokio` what a thread took by
/// `blocking_lock` or `blocking_write`: that thread is its holder, also if it sends the guard to another one, until it
/// is released. Readers are known where the order of locks is checked. It does not know of waits for what nobody holds
/// (conditions, channels), of tasks that wait for one another, of locks that are not profiled, or who holds a lock of
/// `parking_lot` whose guards may be sent to another thread (its feature `send_guard`): full text (`debug=2`) lists those
/// who wait, without a holder.
///
/// Text is for people, in full with `debug=2`: all who wait. The protobuf has the threads of each deadlock, with the labels
/// `cycle`, `lock` and `thread`; their values are how many, and nanoseconds that they have waited.
pub mod deadlock {
    pub use crate::hook::lock::deadlock::{Cycle, check_order, watch};
    pub use crate::hook::watch::Watch;
}

/// CPU time: what was running.
pub mod cpu {
    pub use crate::signal::{Options, Session, profile, set_continuous, start};
}

/// Threads: where each of them is.
pub mod threads {
    pub use crate::signal::dump;
}

/// Starting threads: [`std::thread`]'s, which note who does.
///
/// The profile `threadcreate` has every thread that is alive at the stack that started it, those of which that is not known
/// as `[unknown creator]`; together they are as many as the process has threads, without this crate's own. Known are those
/// that [`spawn`](thread::spawn) and [`Builder`](thread::Builder) started, and, with the feature `interpose` on Linux with
/// glibc, all that `pthread_create` did, C's too. The main thread's creator is never known. Where threads cannot be
/// listed, which is everywhere but on Linux, the profile has those alone that were started here.
pub mod thread {
    pub use crate::hook::thread::{Builder, spawn};
}

/// Key and value on the samples taken within a scope.
pub mod labels {
    pub use crate::label::{FutureExt, Labels, WithLabels, current, with};
}

/// The standard library's locks, channels and the like, profiled, name for name.
///
/// With this crate switched off they are the originals. Spell these types, not the standard library's, wherever the type of
/// a profiled lock or its guard is named, and the code compiles in both states.
pub mod sync {
    pub use crate::hook::lock::sync::{
        Barrier, Condvar, LazyLock, MutexGuard, Once, OnceLock, RwLockReadGuard, RwLockWriteGuard, mpsc,
    };
    pub use crate::hook::lock::{Lock, Profiled};
    pub use std::sync::{
        BarrierWaitResult, LockResult, OnceState, PoisonError, TryLockError, TryLockResult, WaitTimeoutResult,
    };

    /// [`std::sync::Mutex`], profiled; with this crate switched off it is that very type.
    pub type Mutex<T> = Profiled<std::sync::Mutex<T>>;
    /// [`std::sync::RwLock`], profiled; with this crate switched off it is that very type.
    pub type RwLock<T> = Profiled<std::sync::RwLock<T>>;
}

/// Locks of `parking_lot` 0.12, profiled, name for name. With this crate switched off they are the originals.
#[cfg(feature = "parking_lot")]
pub use crate::hook::lock::parking_lot;
/// Locks of `parking_lot` 0.13, profiled, name for name. With this crate switched off they are the originals.
#[cfg(feature = "parking_lot_0_13")]
pub use crate::hook::lock::parking_lot_0_13;

/// Of `tokio`.
#[cfg(feature = "tokio")]
pub mod tokio {
    /// Its locks and channels, profiled, name for name. With this crate switched off they are the originals.
    pub mod sync {
        pub use crate::hook::lock::tokio::*;
    }
}

/// Of `tracing`: a layer that has its spans and events in [traces](crate::trace), and its fields as [`labels`].
#[cfg(feature = "tracing")]
pub mod tracing {
    pub use crate::trace::layer::{Layer, layer};
}

/// Futures that are alive: what each waits for, since when, and who awaits it.
pub mod tasks {
    #[cfg(feature = "tokio")]
    pub use crate::hook::task::spawn;
    pub use crate::hook::task::{Instrumented, Stacks, Stuck, dump, instrument, set_stacks, watch};
    pub use crate::hook::watch::Watch;
}

/// [`trace::log`] with a message that is formatted only while somebody records: `log!("category", "{} of {}", 1, 2)`.
#[doc(hidden)]
#[macro_export]
macro_rules! __profiled_trace_log {
    ($category:expr, $($message:tt)+) => {
        if $crate::trace::is_enabled() {
            $crate::__private::log_formatted($category, ::core::format_args!($($message)+));
        }
    };
}

/// What our macros expand to. Not part of the API.
#[doc(hidden)]
pub mod __private {
    pub use crate::__profiled_register as register;
    pub use crate::__profiled_when_off as when_off;
    pub use crate::encode::bench;
    pub use crate::hook::function::{Scope, enter};
    pub use crate::hook::lock::{AtFirstUse, Lock, Maker};
    pub use crate::hook::task::{Polled, never};
    pub use crate::label::{Set, WithLabels as Labelled};
    pub use crate::profile::Entry;
    #[cfg(not(profiled_portable))]
    pub use crate::signal::timer_tag;
    pub use crate::site::{FunctionSite, LockSite, Name, Place, register};
    pub use crate::stack::observe as stack;
    pub use crate::trace::api::log_formatted;
    pub use core::any::type_name;
    pub use inventory::submit;
}

/// Code for tests of the other half.
#[doc(hidden)]
#[macro_export]
macro_rules! __profiled_when_off {
    ($($code:tt)*) => {};
}
