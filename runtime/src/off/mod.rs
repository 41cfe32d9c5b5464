//! The crate when it is switched off: the same names, nothing behind them.
//!
//! Whoever calls the API compiles alike in both states, so each twin keeps the signature, the auto traits and the
//! `Drop` of its original; it holds nothing, does nothing and can be optimised away to nothing. Every start
//! succeeds and every collection is empty, so that no `expect` of a program fires because profiling is off.
mod alloc;
#[cfg(feature = "criterion")]
pub mod criterion;
mod environment;
mod hidden;
pub mod http;
mod label;
mod lock;
mod named;
mod profile;
mod settings;
mod snapshot;
#[path = "trace.rs"]
mod traces;
#[cfg(feature = "tracing")]
pub mod tracing;

pub use alloc::Allocator;
pub use environment::{Guard, init};
pub use profile::{Key, Profile, Tracked, lookup, profiles};
pub use snapshot::{Frame, SampleRef, Snapshot};

/// The heap: what is alive, and what was ever allocated.
pub mod heap {
    pub use super::settings::{
        Estimate, HeapStats as Stats, heap_older_than as older_than, heap_peak as peak,
        heap_peak_file as peak_file, heap_rate as rate, heap_read_peak_file as read_peak_file,
        heap_stats as stats, heap_write as write, set_heap_rate as set_rate,
    };
}

/// Waiting: who waited, and how long.
pub mod block {
    pub use super::lock::{Region, region};
    pub use super::settings::set_block_rate as set_rate;
}

/// Contention: who held a lock while others waited.
pub mod mutex {
    pub use super::settings::set_mutex_fraction as set_fraction;
}

/// Deadlocks: who waits for whom.
pub mod deadlock {
    pub use super::settings::{Cycle, Watch, check_lock_order as check_order, watch_deadlocks as watch};
}

/// CPU time: what was running.
pub mod cpu {
    pub use super::settings::{Options, Session, profile, set_continuous, start};
}

/// Threads: where each of them is.
pub mod threads {
    pub use super::settings::dump;
}

/// Starting threads: [`std::thread`]'s.
pub mod thread {
    pub use std::thread::{Builder, spawn};
}

/// Futures that are alive: none is known.
pub mod tasks {
    #[cfg(feature = "tokio")]
    pub use super::named::spawn;
    pub use super::named::{Instrumented, Stacks, Stuck, dump, instrument, set_stacks, watch};
    pub use super::settings::Watch;
}

/// The execution trace: none is recorded.
pub mod trace {
    pub use super::traces::{
        Builder, Cause, FlightRecorder, Format, InTask, Region, Session, Snapshot, Status, Summary, Task,
        is_enabled, log, region, start, task,
    };
    pub use crate::__profiled_trace_log as log;
}

/// A message that is looked at by the compiler, and never put together.
#[doc(hidden)]
#[macro_export]
macro_rules! __profiled_trace_log {
    ($category:expr, $($message:tt)+) => {
        if false {
            $crate::__private::log_formatted($category, ::core::format_args!($($message)+));
        }
    };
}

/// Key and value on the samples taken within a scope.
pub mod labels {
    pub use super::label::{FutureExt, Labels, WithLabels, current, with};
}

/// The standard library's locks, channels and the like, themselves.
pub mod sync {
    pub use std::sync::{
        Barrier, BarrierWaitResult, Condvar, LazyLock, LockResult, Mutex, MutexGuard, Once, OnceLock,
        OnceState, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError, TryLockResult,
        WaitTimeoutResult, mpsc,
    };

    /// The lock itself.
    pub type Profiled<L> = L;
}

/// Locks of `parking_lot` 0.12, themselves.
#[cfg(feature = "parking_lot")]
pub mod parking_lot {
    pub use ::parking_lot::{
        Condvar, FairMutex, FairMutexGuard, MappedFairMutexGuard, MappedMutexGuard,
        MappedReentrantMutexGuard, MappedRwLockReadGuard, MappedRwLockWriteGuard, Mutex, MutexGuard,
        RawFairMutex, RawMutex, RawRwLock, RawThreadId, ReentrantMutex, ReentrantMutexGuard, RwLock,
        RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard, WaitTimeoutResult, lock_api,
    };
}

/// Locks of `parking_lot` 0.13, themselves.
#[cfg(feature = "parking_lot_0_13")]
pub mod parking_lot_0_13 {
    pub use ::parking_lot_0_13::{
        Condvar, FairMutex, FairMutexGuard, MappedFairMutexGuard, MappedMutexGuard,
        MappedRecursiveRwLockReadGuard, MappedRecursiveRwLockWriteGuard, MappedReentrantMutexGuard,
        MappedRwLockReadGuard, MappedRwLockWriteGuard, Mutex, MutexGuard, RawCondvar, RawFairMutex, RawMutex,
        RawRwLock, RawRwLockRecursive, RawThreadId, RecursiveRwLock, RecursiveRwLockReadGuard,
        RecursiveRwLockUpgradableReadGuard, RecursiveRwLockWriteGuard, ReentrantMutex, ReentrantMutexGuard,
        RwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard, WaitTimeoutResult, lock_api,
    };
}

/// Of `tokio`.
#[cfg(feature = "tokio")]
pub mod tokio {
    /// Its locks and channels, themselves.
    pub mod sync {
        pub use ::tokio::sync::{
            AcquireError, MappedMutexGuard, Mutex, MutexGuard, Notify, OwnedMappedMutexGuard,
            OwnedMutexGuard, OwnedRwLockMappedWriteGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard,
            OwnedSemaphorePermit, RwLock, RwLockMappedWriteGuard, RwLockReadGuard, RwLockWriteGuard,
            Semaphore, SemaphorePermit, TryAcquireError, TryLockError, futures, mpsc,
        };
    }
}

/// What our macros expand to. Not part of the API.
#[doc(hidden)]
pub mod __private {
    pub use super::hidden::*;
    pub use super::label::{Scope as LabelScope, borrow as label};
    pub use crate::__profiled_register as register;
    pub use crate::__profiled_submit as submit;
    pub use crate::__profiled_when_off as when_off;
    pub use core::any::type_name;
}
