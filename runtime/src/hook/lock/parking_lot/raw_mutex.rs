#![expect(unsafe_code, reason = "a raw lock is unlocked by whoever holds it, which its caller promises")]
//! `parking_lot`'s mutex as a raw lock with its bookkeeping.
use std::mem;
use std::time::{Duration, Instant};

use crate::hook::lock::meter::Meter;

/// The raw lock beneath [`Mutex`](super::Mutex) and [`ReentrantMutex`](super::ReentrantMutex).
#[derive(Debug)]
pub struct RawMutex {
    pub(super) meter: Meter,
    /// Around nothing: a condition variable waits with this one's guard.
    pub(super) lock: ::parking_lot::Mutex<()>,
}

impl RawMutex {
    pub(super) const fn new(meter: Meter) -> RawMutex {
        RawMutex { meter, lock: ::parking_lot::const_mutex(()) }
    }

    /// Takes it by `take`, if that says so.
    #[inline(always)]
    fn taken<G>(&self, guard: Option<G>) -> bool {
        let taken = guard.map(mem::forget).is_some();
        if taken {
            self.meter.acquired();
        }
        taken
    }

    #[cold]
    #[inline(never)]
    fn slow(&self) {
        let guard = self.meter.wait(|| self.lock.try_lock(), || self.lock.lock(), |_| true);
        self.taken(Some(guard));
    }
}

// SAFETY: it is `parking_lot`'s mutex: locked where a guard of that was had and forgotten, unlocked where that would have
// been dropped.
unsafe impl lock_api::RawMutex for RawMutex {
    const INIT: RawMutex = RawMutex::new(Meter::here(|| "parking_lot::Mutex"));

    type GuardMarker = <::parking_lot::RawMutex as lock_api::RawMutex>::GuardMarker;

    #[inline]
    fn lock(&self) {
        if !self.try_lock() {
            self.slow();
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.taken(self.lock.try_lock())
    }

    #[inline]
    unsafe fn unlock(&self) {
        self.meter.release();
        // SAFETY: the caller holds it.
        unsafe { self.lock.force_unlock() };
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawMutexFair for RawMutex {
    #[inline]
    unsafe fn unlock_fair(&self) {
        self.meter.release();
        // SAFETY: the caller holds it.
        unsafe { self.lock.force_unlock_fair() };
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_for(&self, timeout: Duration) -> bool {
        let guard = self.lock.try_lock().or_else(|| {
            self.meter.wait(
                || self.lock.try_lock().map(Some),
                || self.lock.try_lock_for(timeout),
                Option::is_some,
            )
        });
        self.taken(guard)
    }

    fn try_lock_until(&self, timeout: Instant) -> bool {
        let guard = self.lock.try_lock().or_else(|| {
            self.meter.wait(
                || self.lock.try_lock().map(Some),
                || self.lock.try_lock_until(timeout),
                Option::is_some,
            )
        });
        self.taken(guard)
    }
}
