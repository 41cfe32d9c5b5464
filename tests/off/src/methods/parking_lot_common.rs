// What both versions of `parking_lot` have: included in a module that says which is `ours`. (Where a method has another
// name in each, the old one is called.)
use std::cell::Cell;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(1);

fn soon() -> Instant {
    Instant::now() + SHORT
}

fn common() {
    mutex();
    mutex_guard();
    mapped_mutex_guard();
    fair_mutex();
    reentrant_mutex();
    reentrant_mutex_guard();
    rw_lock();
    rw_lock_read_guard();
    rw_lock_write_guard();
    rw_lock_upgradable_read_guard();
    mapped_rw_lock_guards();
    condvar();
}

/// `Mutex`
pub fn mutex() {
    const CONSTANT: ours::Mutex<u32> = ours::Mutex::new(1);
    let mut lock = CONSTANT;
    *lock.get_mut() += 1;
    let guard = lock.lock();
    assert!(lock.is_locked() && lock.try_lock().is_none());
    assert!(lock.try_lock_for(SHORT).is_none() && lock.try_lock_until(soon()).is_none());
    assert!(!lock.data_ptr().is_null());
    drop(guard);
    assert_eq!(*lock.try_lock().unwrap(), 2);
    assert_eq!(lock.into_inner(), 2);
    assert_eq!(ours::Mutex::<u32>::default().into_inner() + *ours::Mutex::from(2).lock(), 2);
    assert_eq!(format!("{:?}", ours::Mutex::new(1)), "Mutex { data: 1 }");
}

/// `MutexGuard`
pub fn mutex_guard() {
    use ours::MutexGuard;
    let lock = ours::Mutex::new((1, 2));
    let mut guard: MutexGuard<'_, (u32, u32)> = lock.lock();
    let _ = MutexGuard::mutex(&guard);
    assert_eq!(MutexGuard::unlocked(&mut guard, || lock.lock().0), 1);
    assert_eq!(MutexGuard::unlocked_fair(&mut guard, || lock.lock().1), 2);
    MutexGuard::bump(&mut guard);
    let Err(guard) = MutexGuard::try_map(guard, |_| None::<&mut u32>) else { unreachable!() };
    let Err((guard, "no")) = MutexGuard::try_map_or_err(guard, |_| Err::<&mut u32, _>("no")) else {
        unreachable!()
    };
    drop(MutexGuard::map(guard, |pair| &mut pair.0));
    MutexGuard::unlock_fair(lock.lock());
    let leaked: &'static ours::Mutex<u32> = Box::leak(Box::new(ours::Mutex::new(1)));
    *MutexGuard::leak(leaked.lock()) += 1;
    assert!(leaked.is_locked());
}

/// `MappedMutexGuard`
pub fn mapped_mutex_guard() {
    use ours::{MappedMutexGuard, MutexGuard};
    let lock = ours::Mutex::new((1, (2, 3)));
    let part = || -> MappedMutexGuard<'_, (u32, u32)> { MutexGuard::map(lock.lock(), |pair| &mut pair.1) };
    let Err(guard) = MappedMutexGuard::try_map(part(), |_| None::<&mut u32>) else { unreachable!() };
    let Err((guard, "no")) = MappedMutexGuard::try_map_or_err(guard, |_| Err::<&mut u32, _>("no")) else {
        unreachable!()
    };
    let mut part_of_part = MappedMutexGuard::map(guard, |pair| &mut pair.1);
    *part_of_part += 1;
    MappedMutexGuard::unlock_fair(part_of_part);
    assert_eq!(lock.into_inner().1.1, 4);
}

/// `FairMutex`
pub fn fair_mutex() {
    let lock: ours::FairMutex<u32> = ours::FairMutex::new(1);
    let guard: ours::FairMutexGuard<'_, u32> = lock.lock();
    let mapped: ours::MappedFairMutexGuard<'_, u32> = ours::FairMutexGuard::map(guard, |value| value);
    assert!(lock.try_lock().is_none() && lock.try_lock_for(SHORT).is_none());
    drop(mapped);
    assert_eq!(lock.into_inner(), 1);
}

/// `ReentrantMutex`
pub fn reentrant_mutex() {
    let mut lock = ours::ReentrantMutex::new(Cell::new(1));
    lock.get_mut().set(2);
    let (one, two) = (lock.lock(), lock.try_lock().unwrap());
    let (three, four) = (lock.try_lock_for(SHORT).unwrap(), lock.try_lock_until(soon()).unwrap());
    assert!(lock.is_locked() && lock.is_owned_by_current_thread() && !lock.data_ptr().is_null());
    assert_eq!(one.get() + two.get() + three.get() + four.get(), 8);
    drop((one, two, three, four));
    assert_eq!(lock.into_inner().get(), 2);
}

/// `ReentrantMutexGuard`, `MappedReentrantMutexGuard`
pub fn reentrant_mutex_guard() {
    use ours::{MappedReentrantMutexGuard, ReentrantMutexGuard};
    let lock = ours::ReentrantMutex::new((1, (2, 3)));
    let mut guard: ReentrantMutexGuard<'_, (u32, (u32, u32))> = lock.lock();
    let _ = ReentrantMutexGuard::remutex(&guard);
    assert_eq!(ReentrantMutexGuard::unlocked(&mut guard, || lock.lock().0), 1);
    assert_eq!(ReentrantMutexGuard::unlocked_fair(&mut guard, || lock.lock().0), 1);
    ReentrantMutexGuard::bump(&mut guard);
    let Err(guard) = ReentrantMutexGuard::try_map(guard, |_| None::<&u32>) else { unreachable!() };
    let Err((guard, "no")) = ReentrantMutexGuard::try_map_or_err(guard, |_| Err::<&u32, _>("no")) else {
        unreachable!()
    };
    let mapped: MappedReentrantMutexGuard<'_, (u32, u32)> = ReentrantMutexGuard::map(guard, |pair| &pair.1);
    let Err(mapped) = MappedReentrantMutexGuard::try_map(mapped, |_| None::<&u32>) else { unreachable!() };
    let Err((mapped, "no")) = MappedReentrantMutexGuard::try_map_or_err(mapped, |_| Err::<&u32, _>("no")) else {
        unreachable!()
    };
    let mapped = MappedReentrantMutexGuard::map(mapped, |pair| &pair.1);
    assert_eq!(*mapped, 3);
    MappedReentrantMutexGuard::unlock_fair(mapped);
    ReentrantMutexGuard::unlock_fair(lock.lock());
}

/// `RwLock`
pub fn rw_lock() {
    fn generic<R, T>(_: &Generic<R, T>) {}
    let mut lock = ours::RwLock::new(1);
    generic(&lock);
    *lock.get_mut() += 1;
    let (one, two) = (lock.read(), lock.try_read().unwrap());
    let (three, four) = (lock.try_read_for(SHORT).unwrap(), lock.try_read_until(soon()).unwrap());
    assert!(lock.is_locked() && !lock.is_locked_exclusive() && !lock.data_ptr().is_null());
    assert!(lock.try_write().is_none());
    assert!(lock.try_write_for(SHORT).is_none() && lock.try_write_until(soon()).is_none());
    let upgradable = lock.upgradable_read();
    assert!(lock.try_upgradable_read().is_none());
    assert!(lock.try_upgradable_read_for(SHORT).is_none() && lock.try_upgradable_read_until(soon()).is_none());
    assert_eq!(*one + *two + *three + *four + *upgradable, 10);
    drop((one, two, three, four, upgradable));
    *lock.write() += 1;
    assert_eq!(format!("{lock:?}"), "RwLock { data: 3 }");
    assert_eq!(lock.into_inner() + ours::RwLock::<u32>::default().into_inner(), 3);
}

/// `RwLockReadGuard`
pub fn rw_lock_read_guard() {
    use ours::RwLockReadGuard;
    let lock = ours::RwLock::new((1, 2));
    let mut guard: RwLockReadGuard<'_, (u32, u32)> = lock.read();
    let _ = RwLockReadGuard::rwlock(&guard);
    assert!(RwLockReadGuard::unlocked(&mut guard, || lock.try_write().is_some()));
    assert!(RwLockReadGuard::unlocked_fair(&mut guard, || lock.try_write().is_some()));
    RwLockReadGuard::bump(&mut guard);
    let Err(guard) = RwLockReadGuard::try_map(guard, |_| None::<&u32>) else { unreachable!() };
    let Err((guard, "no")) = RwLockReadGuard::try_map_or_err(guard, |_| Err::<&u32, _>("no")) else {
        unreachable!()
    };
    drop(RwLockReadGuard::map(guard, |pair| &pair.0));
    RwLockReadGuard::unlock_fair(lock.read());
}

/// `RwLockWriteGuard`
pub fn rw_lock_write_guard() {
    use ours::RwLockWriteGuard;
    let lock = ours::RwLock::new((1, 2));
    let mut guard: RwLockWriteGuard<'_, (u32, u32)> = lock.write();
    let _ = RwLockWriteGuard::rwlock(&guard);
    assert!(RwLockWriteGuard::unlocked(&mut guard, || lock.try_write().is_some()));
    assert!(RwLockWriteGuard::unlocked_fair(&mut guard, || lock.try_write().is_some()));
    RwLockWriteGuard::bump(&mut guard);
    let Err(guard) = RwLockWriteGuard::try_map(guard, |_| None::<&mut u32>) else { unreachable!() };
    let Err((guard, "no")) = RwLockWriteGuard::try_map_or_err(guard, |_| Err::<&mut u32, _>("no")) else {
        unreachable!()
    };
    drop(RwLockWriteGuard::map(guard, |pair| &mut pair.0));
    drop(RwLockWriteGuard::downgrade(lock.write()));
    drop(RwLockWriteGuard::downgrade_to_upgradable(lock.write()));
    RwLockWriteGuard::unlock_fair(lock.write());
}

/// `RwLockUpgradableReadGuard`
pub fn rw_lock_upgradable_read_guard() {
    use ours::RwLockUpgradableReadGuard;
    let lock = ours::RwLock::new(1);
    let mut guard: RwLockUpgradableReadGuard<'_, u32> = lock.upgradable_read();
    let _ = RwLockUpgradableReadGuard::rwlock(&guard);
    assert!(RwLockUpgradableReadGuard::unlocked(&mut guard, || lock.try_write().is_some()));
    assert!(RwLockUpgradableReadGuard::unlocked_fair(&mut guard, || lock.try_write().is_some()));
    RwLockUpgradableReadGuard::bump(&mut guard);
    assert_eq!(RwLockUpgradableReadGuard::with_upgraded(&mut guard, |value| *value), 1);
    let reader = lock.read();
    assert_eq!(RwLockUpgradableReadGuard::try_with_upgraded(&mut guard, |value| *value), None);
    assert_eq!(RwLockUpgradableReadGuard::try_with_upgraded_for(&mut guard, SHORT, |value| *value), None);
    assert_eq!(RwLockUpgradableReadGuard::try_with_upgraded_until(&mut guard, soon(), |value| *value), None);
    let Err(guard) = RwLockUpgradableReadGuard::try_upgrade(guard) else { unreachable!() };
    let Err(guard) = RwLockUpgradableReadGuard::try_upgrade_for(guard, SHORT) else { unreachable!() };
    let Err(guard) = RwLockUpgradableReadGuard::try_upgrade_until(guard, soon()) else { unreachable!() };
    drop(reader);
    drop(RwLockUpgradableReadGuard::upgrade(guard));
    drop(RwLockUpgradableReadGuard::downgrade(lock.upgradable_read()));
    RwLockUpgradableReadGuard::unlock_fair(lock.upgradable_read());
}

/// `MappedRwLockReadGuard`, `MappedRwLockWriteGuard`
pub fn mapped_rw_lock_guards() {
    use ours::{MappedRwLockReadGuard, MappedRwLockWriteGuard, RwLockReadGuard, RwLockWriteGuard};
    let lock = ours::RwLock::new((1, (2, 3)));
    let read = RwLockReadGuard::map(lock.read(), |pair| &pair.1);
    let Err(read) = MappedRwLockReadGuard::try_map(read, |_| None::<&u32>) else { unreachable!() };
    let read: MappedRwLockReadGuard<'_, u32> = MappedRwLockReadGuard::map(read, |pair| &pair.1);
    assert_eq!(*read, 3);
    MappedRwLockReadGuard::unlock_fair(read);
    let write = RwLockWriteGuard::map(lock.write(), |pair| &mut pair.1);
    let Err(write) = MappedRwLockWriteGuard::try_map(write, |_| None::<&mut u32>) else { unreachable!() };
    let Err((write, "no")) = MappedRwLockWriteGuard::try_map_or_err(write, |_| Err::<&mut u32, _>("no")) else {
        unreachable!()
    };
    let mut write: MappedRwLockWriteGuard<'_, u32> = MappedRwLockWriteGuard::map(write, |pair| &mut pair.1);
    *write += 1;
    MappedRwLockWriteGuard::unlock_fair(write);
}

/// `Condvar`
pub fn condvar() {
    static READY: ours::Condvar = ours::Condvar::new();
    let lock = ours::Mutex::new(1);
    let mut guard = lock.lock();
    let result: ours::WaitTimeoutResult = READY.wait_for(&mut guard, SHORT);
    assert!(result.timed_out() && READY.wait_until(&mut guard, soon()).timed_out());
    assert!(READY.wait_while_for(&mut guard, |_| true, SHORT).timed_out());
    assert!(READY.wait_while_until(&mut guard, |_| true, soon()).timed_out());
    READY.wait_while(&mut guard, |_| false);
    assert!(!READY.notify_one() && READY.notify_all() == 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !READY.notify_one() {
                std::thread::yield_now();
            }
        });
        READY.wait(&mut guard);
    });
    assert!(format!("{:?}", ours::Condvar::default()).starts_with("Condvar"));
}
