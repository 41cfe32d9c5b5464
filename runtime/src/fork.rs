#![expect(unsafe_code, reason = "keeps a lock across fork, in a static that only the forking thread touches")]
//! Locks that a forked child does not find held by a thread that it does not have.
//!
//! Every lock of ours that a child could need is a [`Lock`]. Holding any of them also holds a common barrier for
//! reading; `fork` takes the barrier for writing, so that at the moment of the fork all of them are free. They are
//! held for map and list operations of microseconds, so a fork waits no longer than that; but for the one under which a
//! peak is written to its file: then it waits for the disk.
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use crate::{local, trap};

static BARRIER: RwLock<()> = RwLock::new(());

/// A mutex that is never held across a fork. Code of the program never runs under one.
pub(crate) struct Lock<T>(Mutex<T>);

/// The barrier, then the lock; dropped the other way round.
pub(crate) struct Guard<'a, T> {
    inner: MutexGuard<'a, T>,
    _barrier: Barrier,
}

/// Only the outermost lock of a thread holds the barrier: a second look would wait for a fork that waits for us.
struct Barrier(Option<RwLockReadGuard<'static, ()>>);

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Lock<T> {
        Lock(Mutex::new(value))
    }

    /// Waits for it. A panic under a lock of ours leaves data that are whole: poison means nothing here.
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        trap::not_in_handler(trap::LOCKS);
        let barrier = Barrier::enter();
        Guard { inner: self.0.lock().unwrap_or_else(PoisonError::into_inner), _barrier: barrier }
    }
}

impl<T> Lock<T> {
    /// It, if nobody has it and no fork is under way. Never waits.
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
        trap::not_in_handler(trap::LOCKS);
        let barrier = Barrier::try_enter()?;
        let inner = match self.0.try_lock() {
            Ok(inner) => inner,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(Guard { inner, _barrier: barrier })
    }
}

impl Barrier {
    fn try_enter() -> Option<Barrier> {
        if local::with(|local| local.locks.get()) > 0 {
            return Some(Barrier::enter());
        }
        // First this, as in `enter`: a signal handler that forks in between must not wait for a barrier of our own.
        local::with(|local| local.locks.set(1));
        let barrier = match BARRIER.try_read() {
            Ok(barrier) => Some(barrier),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if barrier.is_none() {
            local::with(|local| local.locks.set(0));
        }
        Some(Barrier(Some(barrier?)))
    }

    fn enter() -> Barrier {
        let outermost = local::with(|local| {
            let depth = local.locks.get();
            local.locks.set(depth + 1);
            depth == 0
        });
        Barrier(outermost.then(|| BARRIER.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Drop for Barrier {
    fn drop(&mut self) {
        self.0 = None;
        local::with(|local| local.locks.set(local.locks.get() - 1));
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

/// The barrier while a fork is under way.
struct Held(UnsafeCell<Option<RwLockWriteGuard<'static, ()>>>);

// SAFETY: only the thread that forks touches it, between its `before` and its `after`: holding the barrier for
// writing is what keeps every other thread out of `before`.
unsafe impl Sync for Held {}

static HELD: Held = Held(UnsafeCell::new(None));

/// Installs the handlers. They cover `fork`; `posix_spawn` and `vfork` run none and need none, as their children share
/// our memory and call nothing of ours.
///
/// A constructor does it, so that they are the first of the process: `before` is then the last that runs before the
/// fork and the others the first after it. No handler of the program's, which may hold its own locks and call our
/// hooks, ever runs while we hold the barrier.
///
/// But for the allocator's, if it has any, as jemalloc does: it stops its locks for the fork. We allocate under locks of
/// ours, so those must be free by then, and its handlers must be there before ours. It installs them when it is first
/// used, which is here.
extern "C" fn install() {
    drop(std::hint::black_box(Box::new(0_u8)));
    crate::sys::process::at_fork(before, after_in_parent, after_in_child);
}

crate::sys::at_start!(INSTALL, "00098", install);

extern "C" fn before() {
    let inside = local::with(|local| local.locks.get() > 0);
    if inside {
        // A signal handler that interrupted us forks. The barrier is ours already; whoever else holds a lock is
        // out of luck, as in any program that forks there.
        return;
    }
    let barrier = BARRIER.write().unwrap_or_else(PoisonError::into_inner);
    local::with(|local| local.locks.set(1));
    // SAFETY: see `Held`.
    unsafe { *HELD.0.get() = Some(barrier) };
}

/// Lets go of the barrier, if this thread has it.
fn after() -> bool {
    if local::with(|local| local.locks.get()) != 1 {
        return false;
    }
    // SAFETY: see `Held`; if another thread is forking, this one is between no `before` and `after` of its own, as it
    // would have waited for the barrier.
    let barrier = unsafe { (*HELD.0.get()).take() };
    let held = barrier.is_some();
    drop(barrier);
    if held {
        local::with(|local| local.locks.set(0));
    }
    held
}

extern "C" fn after_in_parent() {
    after();
}

/// How many forks there are between this process and the one that it began as. What notes it can tell later whether
/// it was made in another process.
static GENERATION: AtomicU32 = AtomicU32::new(0);

pub(crate) fn generation() -> u32 {
    GENERATION.load(Relaxed)
}

extern "C" fn after_in_child() {
    // Never `u32::MAX`, which says something else in those that note it.
    GENERATION.store((generation() + 1) & (u32::MAX >> 1), Relaxed);
    if after() {
        // From the bottom up: threads are gone, then what ran on them.
        local::after_fork_in_child();
        crate::stack::after_fork_in_child();
        crate::hook::alloc::after_fork_in_child();
        crate::hook::interpose::after_fork_in_child();
        crate::hook::lock::after_fork_in_child();
        crate::hook::task::after_fork_in_child();
        crate::signal::after_fork_in_child();
        crate::symbol::after_fork_in_child();
        crate::trace::after_fork_in_child();
    }
}
