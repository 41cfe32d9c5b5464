#![expect(unsafe_code, reason = "a raw lock is unlocked by whoever holds it, which its caller promises")]
//! `parking_lot`'s reader-writer lock as a raw lock with its bookkeeping.
//!
//! An upgradable reader shares the lock with others, and is charged as they are.
use std::time::{Duration, Instant};

use ::parking_lot::RawRwLock as Raw;
use lock_api::{RawRwLock as _, RawRwLockRecursive as _, RawRwLockUpgrade as _};

use crate::hook::lock::meter::Meter;

/// The raw lock beneath [`RwLock`](super::RwLock).
pub struct RawRwLock {
    meter: Meter,
    lock: Raw,
}

impl std::fmt::Debug for RawRwLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawRwLock").field("meter", &self.meter).finish_non_exhaustive()
    }
}

impl RawRwLock {
    pub(super) const fn new(meter: Meter) -> RawRwLock {
        RawRwLock { meter, lock: Raw::INIT }
    }

    /// Tries, and waits by `block` if that does not do. Says whether it has it.
    #[inline]
    fn get(&self, again: impl Fn() -> bool, block: impl FnOnce() -> bool) -> bool {
        again() || self.slow(again, block)
    }

    #[cold]
    #[inline(never)]
    fn slow(&self, again: impl Fn() -> bool, block: impl FnOnce() -> bool) -> bool {
        self.meter.wait(|| again().then_some(true), block, |has| *has)
    }

    #[inline(always)]
    fn shared(&self, has: bool) -> bool {
        if has {
            self.meter.shared();
        }
        has
    }

    #[inline(always)]
    fn alone(&self, has: bool) -> bool {
        if has {
            self.meter.acquired();
        }
        has
    }
}

/// What waits for as long as it takes has the lock then.
fn yes(wait: impl FnOnce()) -> bool {
    wait();
    true
}

// SAFETY: it is `parking_lot`'s lock, with every call passed on.
unsafe impl lock_api::RawRwLock for RawRwLock {
    const INIT: RawRwLock = RawRwLock::new(Meter::here(|| "parking_lot::RwLock"));

    type GuardMarker = <Raw as lock_api::RawRwLock>::GuardMarker;

    #[inline]
    fn lock_shared(&self) {
        self.shared(self.get(|| self.lock.try_lock_shared(), || yes(|| self.lock.lock_shared())));
    }

    #[inline]
    fn try_lock_shared(&self) -> bool {
        self.shared(self.lock.try_lock_shared())
    }

    #[inline]
    unsafe fn unlock_shared(&self) {
        self.meter.release_shared();
        // SAFETY: the caller holds it.
        unsafe { self.lock.unlock_shared() };
    }

    #[inline]
    fn lock_exclusive(&self) {
        self.alone(self.get(|| self.lock.try_lock_exclusive(), || yes(|| self.lock.lock_exclusive())));
    }

    #[inline]
    fn try_lock_exclusive(&self) -> bool {
        self.alone(self.lock.try_lock_exclusive())
    }

    #[inline]
    unsafe fn unlock_exclusive(&self) {
        self.meter.release();
        // SAFETY: the caller holds it.
        unsafe { self.lock.unlock_exclusive() };
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }

    #[inline]
    fn is_locked_exclusive(&self) -> bool {
        self.lock.is_locked_exclusive()
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawRwLockFair for RawRwLock {
    unsafe fn unlock_shared_fair(&self) {
        self.meter.release_shared();
        // SAFETY: the caller holds it.
        unsafe { self.lock.unlock_shared_fair() };
    }

    unsafe fn unlock_exclusive_fair(&self) {
        self.meter.release();
        // SAFETY: the caller holds it.
        unsafe { self.lock.unlock_exclusive_fair() };
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawRwLockDowngrade for RawRwLock {
    unsafe fn downgrade(&self) {
        self.meter.release();
        // SAFETY: the caller holds it.
        unsafe { self.lock.downgrade() };
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawRwLockRecursive for RawRwLock {
    fn lock_shared_recursive(&self) {
        let has =
            self.get(|| self.lock.try_lock_shared_recursive(), || yes(|| self.lock.lock_shared_recursive()));
        self.shared(has);
    }

    fn try_lock_shared_recursive(&self) -> bool {
        self.shared(self.lock.try_lock_shared_recursive())
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawRwLockUpgrade for RawRwLock {
    fn lock_upgradable(&self) {
        self.shared(self.get(|| self.lock.try_lock_upgradable(), || yes(|| self.lock.lock_upgradable())));
    }

    fn try_lock_upgradable(&self) -> bool {
        self.shared(self.lock.try_lock_upgradable())
    }

    unsafe fn unlock_upgradable(&self) {
        self.meter.release_shared();
        // SAFETY: the caller holds it.
        unsafe { self.lock.unlock_upgradable() };
    }

    unsafe fn upgrade(&self) {
        // SAFETY: the caller holds it.
        let has = unsafe { self.get(|| self.lock.try_upgrade(), || yes(|| self.lock.upgrade())) };
        self.alone(has);
    }

    unsafe fn try_upgrade(&self) -> bool {
        // SAFETY: the caller holds it.
        self.alone(unsafe { self.lock.try_upgrade() })
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawRwLockUpgradeFair for RawRwLock {
    unsafe fn unlock_upgradable_fair(&self) {
        self.meter.release_shared();
        // SAFETY: the caller holds it.
        unsafe { self.lock.unlock_upgradable_fair() };
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawRwLockUpgradeDowngrade for RawRwLock {
    unsafe fn downgrade_upgradable(&self) {
        self.meter.release_shared();
        // SAFETY: the caller holds it.
        unsafe { self.lock.downgrade_upgradable() };
    }

    unsafe fn downgrade_to_upgradable(&self) {
        self.meter.release();
        // SAFETY: the caller holds it.
        unsafe { self.lock.downgrade_to_upgradable() };
    }
}

/// All that waits no longer than it is told: by a time or until one.
macro_rules! timed {
    ($($time:ty: $shared:ident $alone:ident $recursive:ident $upgradable:ident $upgrade:ident;)*) => {
        // SAFETY: as above.
        unsafe impl lock_api::RawRwLockTimed for RawRwLock {
            type Duration = Duration;
            type Instant = Instant;
            $(
                fn $shared(&self, time: $time) -> bool {
                    self.shared(self.get(|| self.lock.try_lock_shared(), || self.lock.$shared(time)))
                }

                fn $alone(&self, time: $time) -> bool {
                    self.alone(self.get(|| self.lock.try_lock_exclusive(), || self.lock.$alone(time)))
                }
            )*
        }

        // SAFETY: as above.
        unsafe impl lock_api::RawRwLockRecursiveTimed for RawRwLock {$(
            fn $recursive(&self, time: $time) -> bool {
                self.shared(self.get(|| self.lock.try_lock_shared_recursive(), || self.lock.$recursive(time)))
            }
        )*}

        // SAFETY: as above.
        unsafe impl lock_api::RawRwLockUpgradeTimed for RawRwLock {$(
            fn $upgradable(&self, time: $time) -> bool {
                self.shared(self.get(|| self.lock.try_lock_upgradable(), || self.lock.$upgradable(time)))
            }

            unsafe fn $upgrade(&self, time: $time) -> bool {
                // SAFETY: the caller holds it.
                self.alone(unsafe { self.get(|| self.lock.try_upgrade(), || self.lock.$upgrade(time)) })
            }
        )*}
    };
}

timed! {
    Duration: try_lock_shared_for try_lock_exclusive_for try_lock_shared_recursive_for try_lock_upgradable_for
        try_upgrade_for;
    Instant: try_lock_shared_until try_lock_exclusive_until try_lock_shared_recursive_until
        try_lock_upgradable_until try_upgrade_until;
}
