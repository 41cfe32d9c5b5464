#![expect(unsafe_code, reason = "a raw lock is unlocked by whoever holds it, which its caller promises")]
//! A raw reader-writer lock with its bookkeeping.
//!
//! An upgradable reader shares the lock with others, and is charged as they are.
use std::time::{Duration, Instant};

use super::super::{api, origin};
use super::holder::{count, lowered};
use super::tried::{counted, get, get_in_time};
use crate::hook::lock::deadlock::Taken;
use crate::hook::lock::meter::Meter;
use crate::local::blocked::Manner;
use crate::local::held::Access;

/// A raw reader-writer lock of `parking_lot`, profiled.
pub struct RawRwLockOf<L> {
    pub(in super::super) meter: Meter,
    lock: L,
}

/// The raw lock beneath [`RwLock`](super::RwLock).
pub type RawRwLock = RawRwLockOf<origin::RawRwLock>;

impl<L> std::fmt::Debug for RawRwLockOf<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawRwLock").field("meter", &self.meter).finish_non_exhaustive()
    }
}

impl<L: api::RawRwLock> RawRwLockOf<L> {
    pub(in super::super) const fn new(meter: Meter) -> RawRwLockOf<L> {
        RawRwLockOf { meter, lock: L::INIT }
    }

    #[inline(always)]
    pub(in super::super) fn raw(&self) -> &L {
        &self.lock
    }
}

// SAFETY: it is `parking_lot`'s lock, with every call passed on.
unsafe impl<L: api::RawRwLock> api::RawRwLock for RawRwLockOf<L> {
    const INIT: RawRwLockOf<L> = RawRwLockOf::new(Meter::here(|| "parking_lot::RwLock"));

    states! { RawRwLock }

    method! { get lock_shared SharedGuard: Shared after try_lock_shared }
    method! { try try_lock_shared SharedGuard: Shared }
    method! { put unlock_shared SharedGuard: release_shared }
    method! { get lock_exclusive ExclusiveGuard: Alone after try_lock_exclusive }
    method! { try try_lock_exclusive ExclusiveGuard: Alone }
    method! { put unlock_exclusive ExclusiveGuard: release }

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
unsafe impl<L: api::RawRwLockFair> api::RawRwLockFair for RawRwLockOf<L> {
    method! { put unlock_shared_fair SharedGuard: release_shared }
    method! { put unlock_exclusive_fair ExclusiveGuard: release }
}

// SAFETY: as above.
unsafe impl<L: api::RawRwLockDowngrade> api::RawRwLockDowngrade for RawRwLockOf<L> {
    method! { lower downgrade ExclusiveGuard SharedGuard: release, Shared }
}

// SAFETY: as above.
unsafe impl<L: api::RawRwLockUpgrade> api::RawRwLockUpgrade for RawRwLockOf<L> {
    states! { RawRwLockUpgrade }

    method! { get lock_upgradable UpgradableGuard: Upgradable after try_lock_upgradable }
    method! { try try_lock_upgradable UpgradableGuard: Upgradable }
    method! { put unlock_upgradable UpgradableGuard: release_shared }
    method! { raise upgrade UpgradableGuard ExclusiveGuard: Alone after try_upgrade }
    method! { try raise try_upgrade UpgradableGuard ExclusiveGuard: Alone }
}

// SAFETY: as above.
unsafe impl<L: api::RawRwLockUpgradeFair> api::RawRwLockUpgradeFair for RawRwLockOf<L> {
    method! { put unlock_upgradable_fair UpgradableGuard: release_shared }
}

// SAFETY: as above.
unsafe impl<L: api::RawRwLockUpgradeDowngrade> api::RawRwLockUpgradeDowngrade for RawRwLockOf<L> {
    method! { lower downgrade_upgradable UpgradableGuard SharedGuard: release_shared, Shared }
    method! { lower downgrade_to_upgradable ExclusiveGuard UpgradableGuard: release, Upgradable }
}

// SAFETY: as above.
unsafe impl<L> api::RawRwLockTimed for RawRwLockOf<L>
where
    L: api::RawRwLockTimed<Duration = Duration, Instant = Instant>,
{
    type Duration = Duration;
    type Instant = Instant;

    method! { try try_lock_shared_for SharedGuard: Shared after try_lock_shared for Duration }
    method! { try try_lock_shared_until SharedGuard: Shared after try_lock_shared for Instant }
    method! { try try_lock_exclusive_for ExclusiveGuard: Alone after try_lock_exclusive for Duration }
    method! { try try_lock_exclusive_until ExclusiveGuard: Alone after try_lock_exclusive for Instant }
}

// SAFETY: as above.
unsafe impl<L> api::RawRwLockUpgradeTimed for RawRwLockOf<L>
where
    L: api::RawRwLockUpgradeTimed<Duration = Duration, Instant = Instant>,
{
    method! { try try_lock_upgradable_for UpgradableGuard: Upgradable after try_lock_upgradable for Duration }
    method! { try try_lock_upgradable_until UpgradableGuard: Upgradable after try_lock_upgradable for Instant }
    method! { try raise try_upgrade_for UpgradableGuard ExclusiveGuard: Alone after try_upgrade for Duration }
    method! { try raise try_upgrade_until UpgradableGuard ExclusiveGuard: Alone after try_upgrade for Instant }
}
