//! Of the standard library.
#![allow(clippy::all, const_item_interior_mutations, clippy::incompatible_msrv)] // they are called to be called
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use profiled::sync::{
    Barrier, BarrierWaitResult, Condvar, LazyLock, Mutex, Once, OnceLock, OnceState, RwLock, RwLockReadGuard,
    RwLockWriteGuard, mpsc,
};

const SHORT: Duration = Duration::from_millis(1);

/// All of them.
pub fn all() {
    mutex();
    rw_lock();
    rw_lock_write_guard();
    condvar();
    barrier();
    once();
    once_lock();
    lazy_lock();
    senders();
    receiver();
}

/// `Mutex`
pub fn mutex() {
    const CONSTANT: Mutex<u32> = Mutex::new(1);
    let mut lock = CONSTANT;
    *lock.lock().unwrap() += 1;
    *lock.try_lock().unwrap() += 1;
    assert!(!lock.is_poisoned());
    lock.clear_poison();
    *lock.get_mut().unwrap() += 1;
    assert_eq!(lock.into_inner().unwrap(), 4);
    assert_eq!(Mutex::<u32>::default().into_inner().unwrap() + *Mutex::from(2).lock().unwrap(), 2);
    let slice: Arc<Mutex<[u8]>> = Arc::new(Mutex::new([1, 2]));
    let guard = slice.lock().unwrap();
    assert_eq!((guard.len(), format!("{guard:?}")), (2, "[1, 2]".to_owned()));
    assert_eq!(Mutex::new("shown").lock().unwrap().to_string(), "shown");
}

/// `RwLock`
pub fn rw_lock() {
    const CONSTANT: RwLock<u32> = RwLock::new(1);
    let mut lock = CONSTANT;
    *lock.write().unwrap() += *CONSTANT.read().unwrap();
    *lock.try_write().unwrap() += 1;
    assert_eq!(*lock.try_read().unwrap(), 3);
    assert!(!lock.is_poisoned());
    lock.clear_poison();
    *lock.get_mut().unwrap() += 1;
    assert_eq!(lock.into_inner().unwrap(), 4);
    assert_eq!(RwLock::<u32>::default().into_inner().unwrap() + *RwLock::from(2).read().unwrap(), 2);
    let lock = RwLock::new("shown");
    let guard = lock.read().unwrap();
    assert_eq!(format!("{guard} {guard:?}"), "shown \"shown\"");
}

/// `RwLockWriteGuard`
pub fn rw_lock_write_guard() {
    let lock = RwLock::new(1);
    let mut guard = lock.write().unwrap();
    *guard += 1;
    let shared: RwLockReadGuard<'_, u32> = RwLockWriteGuard::downgrade(guard);
    assert_eq!(*shared + *lock.try_read().unwrap(), 4);
    assert!(lock.try_write().is_err());
}

/// `Condvar`
#[allow(deprecated)] // and there
pub fn condvar() {
    static READY: Condvar = Condvar::new();
    let lock = Mutex::new(1);
    thread::scope(|scope| {
        let guard = lock.lock().unwrap();
        scope.spawn(|| {
            *lock.lock().unwrap() = 2;
            READY.notify_one();
            READY.notify_all();
        });
        let guard = READY.wait_while(guard, |value| *value < 2).unwrap();
        let (guard, notified) = READY.wait_timeout_ms(guard, 1).unwrap();
        let (guard, result) = READY.wait_timeout(guard, SHORT).unwrap();
        // It may wake up for nothing.
        let _ = (notified, result.timed_out());
        let (guard, result) = READY.wait_timeout_while(guard, SHORT, |_| true).unwrap();
        assert!(result.timed_out());
        let other = scope.spawn(|| {
            *lock.lock().unwrap() = 3;
            READY.notify_all();
        });
        let mut guard = guard;
        while *guard < 3 {
            guard = READY.wait(guard).unwrap();
        }
        drop(guard);
        other.join().unwrap();
    });
    let _ = Condvar::default();
}

/// `Barrier`
pub fn barrier() {
    let barrier = Barrier::new(1);
    let result: BarrierWaitResult = barrier.wait();
    assert!(result.is_leader());
}

/// `Once`, `OnceState`
pub fn once() {
    static ONCE: Once = Once::new();
    assert!(!ONCE.is_completed());
    ONCE.call_once_force(|state: &OnceState| assert!(!state.is_poisoned()));
    ONCE.call_once(|| unreachable!());
    ONCE.wait();
    ONCE.wait_force();
    assert!(ONCE.is_completed());
}

/// `OnceLock`
pub fn once_lock() {
    let mut lock = OnceLock::new();
    assert_eq!((lock.get(), lock.set(1), lock.set(2)), (None, Ok(()), Err(2)));
    assert_eq!((*lock.wait(), *lock.get_or_init(|| 3)), (1, 1));
    *lock.get_mut().unwrap() += 1;
    assert_eq!((lock.take(), lock.take()), (Some(2), None));
    assert_eq!(OnceLock::from(4).into_inner(), Some(4));
    assert_eq!(OnceLock::from(4).clone(), OnceLock::from(4));
    assert_eq!(format!("{:?} {:?}", lock, OnceLock::from(4)), "OnceLock(<uninit>) OnceLock(4)");
    let _ = OnceLock::<u32>::default();
}

/// `LazyLock`
pub fn lazy_lock() {
    static LAZY: LazyLock<u32> = LazyLock::new(|| 1);
    assert_eq!(format!("{LAZY:?}"), "LazyLock(<uninit>)");
    assert_eq!((LazyLock::get(&LAZY), *LAZY, *LazyLock::force(&LAZY)), (None, 1, 1));
    assert_eq!((LazyLock::get(&LAZY), format!("{LAZY:?}")), (Some(&1), "LazyLock(1)".to_owned()));
    let mut lazy = LazyLock::new(|| 1);
    assert_eq!(LazyLock::get_mut(&mut lazy), None);
    *LazyLock::force_mut(&mut lazy) += 1;
    *lazy += 1;
    assert_eq!(LazyLock::get_mut(&mut lazy), Some(&mut 3));
    assert_eq!(*LazyLock::<u32>::default(), 0);
}

/// `mpsc::Sender`, `mpsc::SyncSender`
pub fn senders() {
    let (sender, receiver) = mpsc::channel();
    sender.clone().send(1).unwrap();
    let (bounded, one) = mpsc::sync_channel(1);
    bounded.try_send(1).unwrap();
    assert!(bounded.try_send(1).is_err());
    drop((one, receiver));
    assert!(bounded.clone().send(1).is_err() && sender.send(1).is_err());
    assert_eq!(format!("{sender:?} {bounded:?}"), "Sender { .. } SyncSender { .. }");
}

/// `mpsc::Receiver`
pub fn receiver() {
    let (sender, receiver) = mpsc::channel();
    (0..6).for_each(|n| sender.send(n).unwrap());
    assert_eq!((receiver.recv(), receiver.try_recv(), receiver.recv_timeout(SHORT)), (Ok(0), Ok(1), Ok(2)));
    assert_eq!((receiver.iter().next(), receiver.try_iter().next()), (Some(3), Some(4)));
    drop(sender);
    assert_eq!((&receiver).into_iter().next(), Some(5));
    assert_eq!(receiver.recv_timeout(SHORT), Err(mpsc::RecvTimeoutError::Disconnected));
    assert_eq!(format!("{receiver:?}"), "Receiver { .. }");
    assert_eq!(receiver.into_iter().next(), None);
}
