#![expect(unsafe_code, reason = "keeps a lock across fork, in a static that only the forking thread touches")]
//! Locks that a forked child does not find held by a thread that it does not have.
//!
//! Every lock of ours that a child could need is a [`Lock`]. Holding any of them also holds a common barrier for
//! reading; `fork` takes the barrier for writing, so that at the moment of the fork all of them are free. They are
//! held for map and list operations of microseconds, so a fork waits no longer than that.
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::local;

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
        prepare();
        let barrier = Barrier::enter();
        Guard { inner: self.0.lock().unwrap_or_else(PoisonError::into_inner), _barrier: barrier }
    }
}

impl Barrier {
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

/// Installs the handlers, once. They cover `fork`; `posix_spawn` and `vfork` run none and need none, as their
/// children share our memory and call nothing of ours.
pub(crate) fn prepare() {
    // No `Once`: a child that is forked while another thread is in it would wait for that thread for ever.
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.load(Relaxed) && !DONE.swap(true, Relaxed) {
        crate::sys::process::at_fork(before, after_in_parent, after_in_child);
    }
}

extern "C" fn before() {
    let barrier = BARRIER.write().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: see `Held`.
    unsafe { *HELD.0.get() = Some(barrier) };
}

extern "C" fn after_in_parent() {
    // SAFETY: see `Held`.
    unsafe { *HELD.0.get() = None };
}

extern "C" fn after_in_child() {
    // SAFETY: see `Held`; the child has no other thread at all.
    unsafe { *HELD.0.get() = None };
    // From the bottom up: threads are gone, then what ran on them.
    local::after_fork_in_child();
    crate::stack::after_fork_in_child();
    crate::signal::after_fork_in_child();
    crate::symbol::after_fork_in_child();
}
