//! Of `tokio`.
#![allow(clippy::all, const_item_interior_mutations)] // they are called to be called
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use profiled::tokio::sync::{
    AcquireError, MappedMutexGuard, Mutex, MutexGuard, Notify, OwnedMappedMutexGuard, OwnedMutexGuard,
    OwnedRwLockMappedWriteGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, OwnedSemaphorePermit, RwLock,
    RwLockMappedWriteGuard, RwLockReadGuard, RwLockWriteGuard, Semaphore, SemaphorePermit, TryAcquireError,
    TryLockError, futures, mpsc,
};

/// All of them.
pub fn all() {
    mutex();
    mutex_guard();
    owned_mutex_guard();
    rw_lock();
    rw_lock_guards();
    owned_rw_lock_guards();
    semaphore();
    semaphore_permits();
    notify();
    sender();
    unbounded_sender();
    receiver();
    unbounded_receiver();
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(future)
}

type Pair = (u32, (u32, u32));

/// `Mutex`
pub fn mutex() {
    static LOCK: Mutex<u32> = Mutex::const_new(1);
    *LOCK.blocking_lock() += 1;
    let mut lock = Mutex::new(1);
    *lock.get_mut() += 1;
    let lock = Arc::new(lock);
    *lock.clone().blocking_lock_owned() += 1;
    *lock.clone().try_lock_owned().unwrap() += 1;
    let refused: TryLockError = block_on(async {
        *lock.clone().lock_owned().await += *LOCK.lock().await;
        let _held = lock.lock().await;
        lock.try_lock().unwrap_err()
    });
    assert!(!refused.to_string().is_empty());
    assert_eq!(format!("{lock:?}"), "Mutex { data: 6 }");
    assert_eq!(Arc::into_inner(lock).unwrap().into_inner(), 6);
    assert_eq!(Mutex::<u32>::default().into_inner() + Mutex::from(1).into_inner(), 1);
}

/// `MutexGuard`, `MappedMutexGuard`
pub fn mutex_guard() {
    let lock = Mutex::new((1, (2, 3)));
    let guard: MutexGuard<'_, Pair> = lock.try_lock().unwrap();
    assert!(std::ptr::eq(MutexGuard::mutex(&guard), &lock));
    let Err(guard) = MutexGuard::try_map(guard, |_| None::<&mut u32>) else { unreachable!() };
    let mapped: MappedMutexGuard<'_, (u32, u32)> = MutexGuard::map(guard, |pair| &mut pair.1);
    assert!(lock.try_lock().is_err());
    let Err(mapped) = MappedMutexGuard::try_map(mapped, |_| None::<&mut u32>) else { unreachable!() };
    let mut mapped = MappedMutexGuard::map(mapped, |pair| &mut pair.1);
    *mapped += 1;
    assert_eq!(format!("{mapped} {mapped:?}"), "4 4");
    drop(mapped);
    assert!(MutexGuard::try_map(lock.try_lock().unwrap(), |pair| Some(&mut pair.0)).is_ok());
    assert_eq!(lock.into_inner(), (1, (2, 4)));
    assert_eq!(Mutex::new("shown").try_lock().unwrap().to_string(), "shown");
}

/// `OwnedMutexGuard`, `OwnedMappedMutexGuard`
pub fn owned_mutex_guard() {
    let lock = Arc::new(Mutex::new((1, (2, 3))));
    let guard: OwnedMutexGuard<Pair> = lock.clone().try_lock_owned().unwrap();
    assert!(Arc::ptr_eq(OwnedMutexGuard::mutex(&guard), &lock));
    let Err(guard) = OwnedMutexGuard::try_map(guard, |_| None::<&mut u32>) else { unreachable!() };
    let mapped: OwnedMappedMutexGuard<Pair, (u32, u32)> = OwnedMutexGuard::map(guard, |pair| &mut pair.1);
    let Err(mapped) = OwnedMappedMutexGuard::try_map(mapped, |_| None::<&mut u32>) else { unreachable!() };
    let mut mapped = OwnedMappedMutexGuard::map(mapped, |pair| &mut pair.1);
    *mapped += 1;
    assert!(lock.try_lock().is_err() && *mapped == 4);
    drop(mapped);
    assert_eq!(*lock.try_lock().unwrap(), (1, (2, 4)));
}

/// `RwLock`
pub fn rw_lock() {
    static LOCK: RwLock<u32> = RwLock::const_new(1);
    static FEW: RwLock<u32> = RwLock::const_with_max_readers(1, 2);
    *LOCK.blocking_write() += *FEW.blocking_read();
    let one = RwLock::with_max_readers(1, 1);
    let reader = one.try_read().unwrap();
    assert!(one.try_read().is_err() && one.try_write().is_err());
    drop(reader);
    let mut lock = RwLock::new(1);
    *lock.get_mut() += 1;
    let lock = Arc::new(lock);
    block_on(async {
        *lock.clone().write_owned().await += *LOCK.read().await;
        let one = lock.clone().read_owned().await.min(1);
        *lock.write().await += one;
    });
    *lock.clone().try_write_owned().unwrap() += 1;
    assert_eq!(*lock.clone().try_read_owned().unwrap() + *lock.try_read().unwrap(), 12);
    *lock.try_write().unwrap() += 1;
    assert!(format!("{lock:?}").starts_with("RwLock {"));
    assert_eq!(Arc::into_inner(lock).unwrap().into_inner(), 7);
    assert_eq!(RwLock::<u32>::default().into_inner() + RwLock::from(1).into_inner(), 1);
}

/// `RwLockReadGuard`, `RwLockWriteGuard`, `RwLockMappedWriteGuard`
pub fn rw_lock_guards() {
    let lock = RwLock::new((1, (2, 3)));
    let guard: RwLockReadGuard<'_, Pair> = lock.try_read().unwrap();
    let Err(guard) = RwLockReadGuard::try_map(guard, |_| None::<&u32>) else { unreachable!() };
    assert_eq!(*RwLockReadGuard::map(guard, |pair| &pair.0), 1);
    let guard: RwLockWriteGuard<'_, Pair> = lock.try_write().unwrap();
    let Err(guard) = RwLockWriteGuard::try_map(guard, |_| None::<&mut u32>) else { unreachable!() };
    let Err(guard) = RwLockWriteGuard::try_downgrade_map(guard, |_| None::<&u32>) else { unreachable!() };
    let mapped: RwLockMappedWriteGuard<'_, (u32, u32)> = RwLockWriteGuard::map(guard, |pair| &mut pair.1);
    let Err(mapped) = RwLockMappedWriteGuard::try_map(mapped, |_| None::<&mut u32>) else { unreachable!() };
    let mut mapped = RwLockMappedWriteGuard::map(mapped, |pair| &mut pair.1);
    *mapped += 1;
    assert!(lock.try_read().is_err() && *mapped == 4);
    drop(mapped);
    let mapped = RwLockWriteGuard::into_mapped(lock.try_write().unwrap());
    drop(mapped);
    let shared = RwLockWriteGuard::downgrade_map(lock.try_write().unwrap(), |pair| &pair.0);
    assert!(lock.try_write().is_err() && *shared == 1);
    drop(shared);
    assert!(RwLockWriteGuard::try_downgrade_map(lock.try_write().unwrap(), |pair| Some(&pair.0)).is_ok());
    let shared = lock.try_write().unwrap().downgrade();
    assert!(lock.try_write().is_err() && lock.try_read().is_ok());
    assert_eq!(format!("{shared:?}"), "(1, (2, 4))");
    assert_eq!(RwLock::new("shown").try_read().unwrap().to_string(), "shown");
}

/// `OwnedRwLockReadGuard`, `OwnedRwLockWriteGuard`, `OwnedRwLockMappedWriteGuard`
pub fn owned_rw_lock_guards() {
    let lock = Arc::new(RwLock::new((1, (2, 3))));
    let write = || lock.clone().try_write_owned().unwrap();
    let guard: OwnedRwLockReadGuard<Pair> = lock.clone().try_read_owned().unwrap();
    assert!(Arc::ptr_eq(OwnedRwLockReadGuard::rwlock(&guard), &lock));
    let Err(guard) = OwnedRwLockReadGuard::try_map(guard, |_| None::<&u32>) else { unreachable!() };
    let guard: OwnedRwLockReadGuard<Pair, u32> = OwnedRwLockReadGuard::map(guard, |pair| &pair.0);
    assert_eq!(*guard, 1);
    drop(guard);
    let guard: OwnedRwLockWriteGuard<Pair> = write();
    assert!(Arc::ptr_eq(OwnedRwLockWriteGuard::rwlock(&guard), &lock));
    let Err(guard) = OwnedRwLockWriteGuard::try_map(guard, |_| None::<&mut u32>) else { unreachable!() };
    let Err(guard) = OwnedRwLockWriteGuard::try_downgrade_map(guard, |_| None::<&u32>) else {
        unreachable!()
    };
    let mapped: OwnedRwLockMappedWriteGuard<Pair, (u32, u32)> =
        OwnedRwLockWriteGuard::map(guard, |pair| &mut pair.1);
    assert!(Arc::ptr_eq(OwnedRwLockMappedWriteGuard::rwlock(&mapped), &lock));
    let Err(mapped) = OwnedRwLockMappedWriteGuard::try_map(mapped, |_| None::<&mut u32>) else {
        unreachable!()
    };
    let mut mapped = OwnedRwLockMappedWriteGuard::map(mapped, |pair| &mut pair.1);
    *mapped += 1;
    drop(mapped);
    drop(OwnedRwLockWriteGuard::into_mapped(write()));
    assert_eq!(*OwnedRwLockWriteGuard::downgrade_map(write(), |pair| &pair.0), 1);
    assert!(OwnedRwLockWriteGuard::try_downgrade_map(write(), |pair| Some(&pair.0)).is_ok());
    let shared = write().downgrade();
    assert!(lock.try_write().is_err() && shared.1.1 == 4);
}

/// `Semaphore`
pub fn semaphore() {
    static FEW: Semaphore = Semaphore::const_new(1);
    let semaphore = Arc::new(Semaphore::new(3));
    assert!(Semaphore::MAX_PERMITS > 1000);
    semaphore.add_permits(1);
    assert_eq!((semaphore.forget_permits(1), semaphore.available_permits()), (1, 3));
    drop(FEW.blocking_acquire().unwrap());
    drop(semaphore.blocking_acquire_many(2).unwrap());
    drop(semaphore.clone().blocking_acquire_owned().unwrap());
    drop(semaphore.clone().blocking_acquire_many_owned(2).unwrap());
    drop(semaphore.try_acquire().unwrap());
    drop(semaphore.clone().try_acquire_owned().unwrap());
    assert_eq!(semaphore.try_acquire_many(4).unwrap_err(), TryAcquireError::NoPermits);
    assert!(semaphore.clone().try_acquire_many_owned(4).is_err());
    let refused: AcquireError = block_on(async {
        drop(semaphore.acquire().await.unwrap());
        drop(semaphore.acquire_many(2).await.unwrap());
        drop(semaphore.clone().acquire_owned().await.unwrap());
        drop(semaphore.clone().acquire_many_owned(2).await.unwrap());
        semaphore.close();
        semaphore.acquire().await.unwrap_err()
    });
    assert!(semaphore.is_closed() && !refused.to_string().is_empty());
    assert!(semaphore.blocking_acquire().is_err() && !format!("{semaphore:?}").is_empty());
}

/// `SemaphorePermit`, `OwnedSemaphorePermit`
pub fn semaphore_permits() {
    let semaphore = Arc::new(Semaphore::new(8));
    let mut permit: SemaphorePermit<'_> = semaphore.try_acquire_many(3).unwrap();
    let split = permit.split(1).unwrap();
    assert_eq!((permit.num_permits(), permit.semaphore().available_permits()), (2, 5));
    permit.merge(split);
    assert!(permit.split(4).is_none());
    permit.forget();
    let mut permit: OwnedSemaphorePermit = semaphore.clone().try_acquire_many_owned(3).unwrap();
    let split = permit.split(1).unwrap();
    assert_eq!((permit.num_permits(), permit.semaphore().available_permits()), (2, 2));
    permit.merge(split);
    permit.forget();
    assert_eq!(semaphore.available_permits(), 2);
}

/// `Notify`, `futures::Notified`, `futures::OwnedNotified`
pub fn notify() {
    static CONSTANT: Notify = Notify::const_new();
    CONSTANT.notify_one();
    let notify = Arc::new(Notify::new());
    block_on(async {
        CONSTANT.notified().await;
        let mut waits = pin!(notify.notified());
        assert!(!waits.as_mut().enable());
        notify.notify_waiters();
        let waits: std::pin::Pin<&mut futures::Notified<'_>> = waits;
        waits.await;
        let mut waits = pin!(notify.clone().notified_owned());
        assert!(!waits.as_mut().enable());
        notify.notify_last();
        let waits: std::pin::Pin<&mut futures::OwnedNotified> = waits;
        waits.await;
    });
    assert_eq!(Arc::strong_count(&notify), 1);
    let _ = Notify::default();
}

const SHORT: Duration = Duration::from_millis(1);

/// `mpsc::Sender`, `mpsc::WeakSender`, `mpsc::OwnedPermit`
pub fn sender() {
    let (sender, mut receiver) = mpsc::channel(4);
    assert_eq!((sender.capacity(), sender.max_capacity(), sender.is_closed()), (4, 4, false));
    sender.blocking_send(0).unwrap();
    sender.try_send(1).unwrap();
    sender.try_reserve().unwrap().send(2);
    sender.try_reserve_many(1).unwrap().for_each(|permit| permit.send(3));
    assert!(sender.try_send(4).is_err());
    let Err(mpsc::error::TrySendError::Full(sender)) = sender.try_reserve_owned() else { unreachable!() };
    block_on(async {
        let refused = sender.send_timeout(5, SHORT).await.unwrap_err();
        assert_eq!(refused, mpsc::error::SendTimeoutError::Timeout(5));
        let mut got = Vec::new();
        receiver.recv_many(&mut got, 10).await;
        assert_eq!(got, [0, 1, 2, 3]);
        sender.send(5).await.unwrap();
        sender.reserve().await.unwrap().send(6);
        sender.reserve_many(1).await.unwrap().for_each(|permit| permit.send(7));
    });
    let weak: mpsc::WeakSender<u32> = sender.downgrade();
    assert_eq!((sender.strong_count(), sender.weak_count()), (1, 1));
    assert_eq!((weak.strong_count(), weak.clone().weak_count()), (1, 2));
    let permit: mpsc::OwnedPermit<u32> = sender.clone().try_reserve_owned().unwrap();
    assert!(permit.same_channel_as_sender(&sender) && permit.same_channel(&permit));
    let other: mpsc::Sender<u32> = permit.release();
    assert!(other.same_channel(&sender) && weak.upgrade().unwrap().same_channel(&sender));
    let permit = block_on(other.reserve_owned()).unwrap();
    let other = permit.send(8);
    drop(receiver);
    block_on(async {
        other.closed().await;
        assert!(sender.clone().reserve_owned().await.is_err() && sender.send(9).await.is_err());
    });
    assert!(!format!("{sender:?}").is_empty());
}

/// `mpsc::UnboundedSender`, `mpsc::WeakUnboundedSender`
pub fn unbounded_sender() {
    let (sender, receiver) = mpsc::unbounded_channel();
    sender.send(1).unwrap();
    let weak: mpsc::WeakUnboundedSender<u32> = sender.downgrade();
    assert_eq!((sender.strong_count(), sender.weak_count()), (1, 1));
    assert_eq!((weak.strong_count(), weak.clone().weak_count()), (1, 2));
    assert!(weak.upgrade().unwrap().same_channel(&sender) && !sender.is_closed());
    drop(receiver);
    block_on(sender.closed());
    assert!(sender.clone().send(2).is_err());
}

macro_rules! receivers {
    ($($name:ident: $make:expr;)*) => {$(
        /// `mpsc::Receiver` and `mpsc::UnboundedReceiver`
        pub fn $name() {
            let (sender, mut receiver) = $make;
            (0..8_u32).for_each(|n| sender.try_send(n).unwrap());
            let mut got = Vec::new();
            got.extend([receiver.blocking_recv().unwrap(), receiver.try_recv().unwrap()]);
            assert_eq!(receiver.blocking_recv_many(&mut got, 1), 1);
            assert_eq!((receiver.len(), receiver.is_empty(), receiver.is_closed()), (5, false, false));
            assert_eq!((receiver.sender_strong_count(), receiver.sender_weak_count()), (1, 0));
            block_on(async {
                got.push(receiver.recv().await.unwrap());
                receiver.recv_many(&mut got, 1).await;
                got.push(poll_fn(|context| receiver.poll_recv(context)).await.unwrap());
                poll_fn(|context| receiver.poll_recv_many(context, &mut got, 1)).await;
            });
            receiver.close();
            assert!(sender.is_closed() && !format!("{receiver:?}").is_empty());
            got.extend(receiver.blocking_recv());
            assert_eq!((got, receiver.blocking_recv()), ((0..8).collect(), None));
        }
    )*};
}

/// An unbounded sender that may be tried.
struct Unbounded(mpsc::UnboundedSender<u32>);

impl Unbounded {
    fn try_send(&self, n: u32) -> Result<(), mpsc::error::SendError<u32>> {
        self.0.send(n)
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

receivers! {
    receiver: {
        let (sender, receiver) = mpsc::channel(8);
        assert_eq!((receiver.capacity(), receiver.max_capacity()), (8, 8));
        (sender, receiver)
    };
    unbounded_receiver: {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Unbounded(sender), receiver)
    };
}
