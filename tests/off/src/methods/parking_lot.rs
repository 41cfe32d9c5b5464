//! Of `parking_lot` 0.12.
#![allow(clippy::all, const_item_interior_mutations)] // they are called to be called
use profiled::parking_lot as ours;
use profiled::parking_lot::lock_api::RwLock as Generic;

include!("parking_lot_common.rs");

/// All of them.
pub fn all() {
    common();
    reading_again();
    mapped_or_else();
}

/// `RwLock`: the methods that 0.13 has not.
pub fn reading_again() {
    let lock = ours::RwLock::new(1);
    let one = lock.read_recursive();
    let two = lock.try_read_recursive().unwrap();
    let three = lock.try_read_recursive_for(SHORT).unwrap();
    let four = lock.try_read_recursive_until(soon()).unwrap();
    assert_eq!(*one + *two + *three + *four, 4);
}

/// `MappedRwLockReadGuard`: what 0.13 calls by another name.
pub fn mapped_or_else() {
    let lock = ours::RwLock::new((1, 2));
    let guard = ours::RwLockReadGuard::map(lock.read(), |pair| pair);
    let Err((guard, "no")) = ours::MappedRwLockReadGuard::try_map_or_else(guard, |_| Err::<&u32, _>("no"))
    else {
        unreachable!()
    };
    assert_eq!(guard.0, 1);
}
