#![expect(unsafe_code, reason = "a raw lock is unlocked by whoever holds it, which its caller promises")]
//! A raw mutex with its bookkeeping.
use std::ptr;
use std::time::{Duration, Instant};

use super::super::{api, origin};
use super::holder::count;
use super::tried::{counted, get, get_in_time};
use crate::hook::lock::deadlock::Taken;
use crate::hook::lock::meter::Meter;
use crate::local::blocked::Manner;
use crate::local::held::Access;
use crate::sys;

/// A raw mutex of `parking_lot`, profiled.
#[repr(C)] // the lock is next to what its holders write
pub struct RawMutexOf<L> {
    pub(in super::super) meter: Meter,
    /// Around nothing: a condition variable may wait with this one's guard.
    pub(in super::super) lock: api::Mutex<L, ()>,
}

/// The raw lock beneath [`Mutex`](super::Mutex) and [`ReentrantMutex`](super::ReentrantMutex).
pub type RawMutex = RawMutexOf<origin::RawMutex>;
/// The raw lock beneath [`FairMutex`](super::FairMutex).
pub type RawFairMutex = RawMutexOf<origin::RawFairMutex>;

impl<L> std::fmt::Debug for RawMutexOf<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawMutex").field("meter", &self.meter).finish_non_exhaustive()
    }
}

impl<L: api::RawMutex> RawMutexOf<L> {
    pub(in super::super) const fn new(meter: Meter) -> RawMutexOf<L> {
        RawMutexOf { meter, lock: api::Mutex::from_raw(L::INIT, ()) }
    }

    /// A try looks at the lock before it exchanges it, so that its line, if another processor has it, would come twice: to be
    /// read, and to be written.
    #[inline(always)]
    fn fetch(&self) {
        sys::memory::about_to_write(ptr::from_ref(&self.lock).cast());
    }

    #[inline(always)]
    pub(in super::super) fn raw(&self) -> &L {
        // SAFETY: it is unlocked by those alone who unlock ours.
        unsafe { self.lock.raw() }
    }
}

// SAFETY: it is `parking_lot`'s mutex, with every call passed on.
unsafe impl<L: api::RawMutex> api::RawMutex for RawMutexOf<L> {
    const INIT: RawMutexOf<L> = RawMutexOf::new(Meter::here(|| "parking_lot::Mutex"));

    states! { RawMutex }

    method! { get lock Guard: Alone after try_lock and fetch }
    method! { try try_lock Guard: Alone }
    method! { put unlock Guard: release }

    #[inline]
    fn is_locked(&self) -> bool {
        self.raw().is_locked()
    }
}

// SAFETY: as above.
unsafe impl<L: api::RawMutexFair> api::RawMutexFair for RawMutexOf<L> {
    method! { put unlock_fair Guard: release }
}

// SAFETY: as above.
unsafe impl<L> api::RawMutexTimed for RawMutexOf<L>
where
    L: api::RawMutexTimed<Duration = Duration, Instant = Instant>,
{
    type Duration = Duration;
    type Instant = Instant;

    method! { try try_lock_for Guard: Alone after try_lock for Duration }
    method! { try try_lock_until Guard: Alone after try_lock for Instant }
}
