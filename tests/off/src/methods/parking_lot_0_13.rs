//! Of `parking_lot` 0.13.
#![allow(clippy::all, const_item_interior_mutations)] // they are called to be called
use profiled::parking_lot_0_13 as ours;
use profiled::parking_lot_0_13::lock_api::RwLock as Generic;

include!("parking_lot_common.rs");

/// All of them.
pub fn all() {
    common();
    recursive();
    mapped_or_err();
    raw_condvar();
}

/// `RecursiveRwLock`
pub fn recursive() {
    let lock: ours::RecursiveRwLock<u32> = ours::RecursiveRwLock::new(1);
    let (one, two): (ours::RecursiveRwLockReadGuard<'_, u32>, _) = (lock.read(), lock.read());
    assert_eq!(*one + *two, 2);
    drop((one, two));
    let guard: ours::RecursiveRwLockWriteGuard<'_, u32> = lock.write();
    let mapped: ours::MappedRecursiveRwLockWriteGuard<'_, u32> =
        ours::RecursiveRwLockWriteGuard::map(guard, |value| value);
    drop(mapped);
    let upgradable: ours::RecursiveRwLockUpgradableReadGuard<'_, u32> = lock.upgradable_read();
    drop(ours::RecursiveRwLockUpgradableReadGuard::upgrade(upgradable));
    let mapped: ours::MappedRecursiveRwLockReadGuard<'_, u32> =
        ours::RecursiveRwLockReadGuard::map(lock.read(), |value| value);
    drop(mapped);
}

/// `MappedRwLockReadGuard`: what 0.12 calls by another name.
pub fn mapped_or_err() {
    let lock = ours::RwLock::new((1, 2));
    let guard = ours::RwLockReadGuard::map(lock.read(), |pair| pair);
    let Err((guard, "no")) = ours::MappedRwLockReadGuard::try_map_or_err(guard, |_| Err::<&u32, _>("no"))
    else {
        unreachable!()
    };
    assert_eq!(guard.0, 1);
}

/// `Condvar`: what 0.12 has not.
pub fn raw_condvar() {
    let _: &ours::RawCondvar = ours::Condvar::new().raw();
}
