//! Who waits, and for what: each kind of wait is in `block` under the function that waited, with its class.
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Barrier, Condvar, LazyLock, Mutex, Once, OnceLock, RwLock, mpsc};
use std::thread;
use std::time::Duration;

use profiled_test_interpose::{Profile, Sample, alone, read, take_all, text};

const LONG: Duration = Duration::from_millis(40);

/// Lets `wait` begin on a thread of its own, and then `end` it.
fn meet<S: Sync>(shared: S, wait: impl Fn(&S) + Sync, end: impl Fn(&S)) {
    thread::scope(|scope| {
        let waiter = scope.spawn(|| wait(&shared));
        thread::sleep(LONG);
        end(&shared);
        waiter.join().unwrap();
    });
}

macro_rules! waiters {
    ($($name:ident($shared:ident: $type:ty) $body:block)*) => {$(
        #[inline(never)]
        fn $name($shared: $type) {
            $body;
            black_box(());
        }
    )*};
}

waiters! {
    waits_for_mutex(lock: &Mutex<()>) { drop(lock.lock().unwrap()) }
    waits_to_read(lock: &RwLock<()>) { drop(lock.read().unwrap()) }
    waits_to_write(lock: &RwLock<()>) { drop(lock.write().unwrap()) }
    waits_for_condition(pair: &(Mutex<bool>, Condvar)) {
        drop(pair.1.wait_while(pair.0.lock().unwrap(), |there| !*there).unwrap())
    }
    waits_at_barrier(barrier: &Barrier) { barrier.wait() }
    waits_parked(flag: &AtomicU32) { while flag.load(Relaxed) == 0 { thread::park() } }
    waits_parked_for_long(_flag: &AtomicU32) { thread::park_timeout(LONG) }
    waits_for_once(once: &Once) { once.call_once(|| ()) }
    waits_for_cell(cell: &OnceLock<u32>) { cell.get_or_init(|| 1) }
    waits_for_lazy(lazy: &LazyLock<u32>) { _ = **lazy }
    waits_to_receive(queue: &Mutex<mpsc::Receiver<u32>>) { queue.lock().unwrap().recv().unwrap() }
    waits_to_send(queue: &mpsc::SyncSender<u32>) { queue.send(2).unwrap() }
    waits_for_crossbeam(queue: &crossbeam_channel::Receiver<u32>) { queue.recv().unwrap() }
    waits_to_send_crossbeam(queue: &crossbeam_channel::Sender<u32>) { queue.send(2).unwrap() }
    selects(queue: &crossbeam_channel::Receiver<u32>) {
        crossbeam_channel::select! { recv(queue) -> found => found.unwrap() }
    }
    waits_for_parking_lot(lock: &parking_lot::Mutex<()>) { drop(lock.lock()) }
    waits_to_read_parking_lot(lock: &parking_lot::RwLock<()>) { drop(lock.read()) }
    waits_for_parking_lot_condition(pair: &(parking_lot::Mutex<bool>, parking_lot::Condvar)) {
        pair.1.wait_while(&mut pair.0.lock(), |there| !*there)
    }
}

/// Joins a thread that takes its time.
#[inline(never)]
fn waits_to_join() {
    thread::spawn(|| thread::sleep(LONG)).join().unwrap();
    black_box(());
}

/// The end of a scope waits for its threads.
#[inline(never)]
fn waits_for_scope() {
    thread::scope(|scope| drop(scope.spawn(|| thread::sleep(LONG))));
    black_box(());
}

fn all() {
    let mutex = Mutex::new(());
    let guard = Mutex::new(Some(mutex.lock().unwrap()));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| waits_for_mutex(&mutex));
        thread::sleep(LONG);
        drop(guard.into_inner().unwrap());
        waiter.join().unwrap();
    });
    for wait in [waits_to_read, waits_to_write] {
        let lock = RwLock::new(());
        thread::scope(|scope| {
            let guard = lock.write().unwrap();
            scope.spawn(|| wait(&lock));
            thread::sleep(LONG);
            drop(guard);
        });
    }
    meet((Mutex::new(false), Condvar::new()), waits_for_condition, |pair| {
        *pair.0.lock().unwrap() = true;
        pair.1.notify_one();
    });
    meet(Barrier::new(2), waits_at_barrier, |barrier| _ = barrier.wait());
    thread::scope(|scope| {
        let flag = AtomicU32::new(0);
        let flag = &*Box::leak(Box::new(flag));
        let waiter = scope.spawn(|| waits_parked(flag));
        thread::sleep(LONG);
        flag.store(1, Relaxed);
        waiter.thread().unpark();
        scope.spawn(|| waits_parked_for_long(flag));
    });
    initialisers();
    let (sender, receiver) = mpsc::channel();
    meet(Mutex::new(receiver), waits_to_receive, |_| sender.send(1).unwrap());
    let (sender, receiver) = mpsc::sync_channel(1);
    sender.send(1).unwrap();
    meet(sender, waits_to_send, |_| _ = receiver.recv().unwrap());
    let (sender, receiver) = crossbeam_channel::unbounded();
    meet(receiver.clone(), waits_for_crossbeam, |_| sender.send(1).unwrap());
    meet(receiver, selects, |_| sender.send(1).unwrap());
    let (sender, receiver) = crossbeam_channel::bounded(1);
    sender.send(1).unwrap();
    meet(sender, waits_to_send_crossbeam, |_| _ = receiver.recv().unwrap());
    let lock = parking_lot::Mutex::new(());
    thread::scope(|scope| {
        let guard = lock.lock();
        scope.spawn(|| waits_for_parking_lot(&lock));
        thread::sleep(LONG);
        drop(guard);
    });
    let lock = parking_lot::RwLock::new(());
    thread::scope(|scope| {
        let guard = lock.write();
        scope.spawn(|| waits_to_read_parking_lot(&lock));
        thread::sleep(LONG);
        drop(guard);
    });
    meet(
        (parking_lot::Mutex::new(false), parking_lot::Condvar::new()),
        waits_for_parking_lot_condition,
        |pair| {
            // Under the lock: the waiter is moved over to the lock's queue, and its unlock wakes it.
            let mut there = pair.0.lock();
            *there = true;
            pair.1.notify_one();
        },
    );
    waits_to_join();
    waits_for_scope();
}

/// Who waits while another thread initialises.
fn initialisers() {
    let slow = || thread::sleep(2 * LONG);
    let once = Once::new();
    let cell = OnceLock::new();
    let lazy: LazyLock<u32> = LazyLock::new(|| {
        thread::sleep(2 * LONG);
        1
    });
    thread::scope(|scope| {
        scope.spawn(|| once.call_once(slow));
        scope.spawn(|| {
            cell.get_or_init(|| {
                slow();
                1
            })
        });
        scope.spawn(|| *lazy);
        thread::sleep(LONG / 2);
        scope.spawn(|| waits_for_once(&once));
        scope.spawn(|| waits_for_cell(&cell));
        scope.spawn(|| waits_for_lazy(&lazy));
    });
}

/// Every waiting function and its class.
const CLASSES: &[(&str, &str)] = &[
    ("waits_for_mutex", "mutex"),
    ("waits_to_read", "rwlock"),
    ("waits_to_write", "rwlock"),
    ("waits_for_condition", "condvar"),
    ("waits_at_barrier", "condvar"),
    ("waits_parked", "park"),
    ("waits_parked_for_long", "park"),
    ("waits_for_once", "once"),
    ("waits_for_cell", "once"),
    ("waits_for_lazy", "once"),
    ("waits_to_receive", "channel"),
    ("waits_to_send", "channel"),
    ("waits_for_crossbeam", "channel"),
    ("waits_to_send_crossbeam", "channel"),
    ("selects", "channel"),
    ("waits_for_parking_lot", "mutex"),
    ("waits_to_read_parking_lot", "rwlock"),
    ("waits_for_parking_lot_condition", "condvar"),
    ("waits_to_join", "join"),
    ("waits_for_scope", "join"),
];

/// How often a wait may be missed.
const TRIES: usize = 12;

/// The rows of a waiting function.
fn rows<'a>(block: &'a Profile, function: &str) -> Vec<&'a Sample> {
    let name = format!("waits::{function}");
    let waits = |sample: &&Sample| sample.frames.iter().any(|frame| frame.name == name);
    block.samples().iter().filter(waits).collect()
}

/// How long it waited, for one class of things or for all.
fn waited(block: &Profile, function: &str, class: Option<&str>) -> i64 {
    let rows = rows(block, function).into_iter().filter(|row| class.is_none() || row.text("wait") == class);
    rows.map(|row| row.value("delay")).sum()
}

#[test]
fn every_wait_is_there_with_its_stack_and_its_class() {
    alone("every_wait_is_there_with_its_stack_and_its_class", || {
        take_all();
        // Channels and `parking_lot` let others run before they wait, on a busy machine for all the time there is: then
        // there is another time.
        let long = LONG.as_nanos() as i64;
        let block = (1..=TRIES).find_map(|n| {
            all();
            let block = read("block");
            let enough = |&(function, class): &(&str, &str)| waited(&block, function, Some(class)) > long / 4;
            (CLASSES.iter().all(enough) || n == TRIES).then_some(block)
        });
        let block = block.unwrap();
        for &(function, class) in CLASSES {
            let rows = rows(&block, function);
            let classes: Vec<_> = rows.iter().map(|row| row.text("wait")).collect();
            let [of_class, of_all] = [Some(class), None].map(|class| waited(&block, function, class));
            assert!(of_class > long / 4, "{function}: {rows:#?}");
            assert!(of_class * 20 > of_all * 19, "{function}: {class} among {classes:?}");
            // No frame of ours is left at the leaf.
            assert!(
                rows.iter().all(|row| !row.frames[0].name.contains("profiled::")),
                "{function}: {rows:#?}"
            );
        }
        // Only of what somebody holds is there a holder.
        let mutex = read("mutex");
        let classes: Vec<_> = mutex.samples().iter().filter_map(|sample| sample.text("wait")).collect();
        assert!(classes.iter().all(|class| ["mutex", "rwlock", "once"].contains(class)), "{classes:?}");
        for (holder, class) in
            [("waits::all", "mutex"), ("waits::all", "rwlock"), ("waits::initialisers", "once")]
        {
            let rows = mutex.find(&[holder]);
            assert!(rows.iter().any(|row| row.text("wait") == Some(class)), "{holder} {class}: {mutex:#?}");
        }
        // A wait for a condition is not the fault of whoever unlocked in the end.
        let held: i64 = mutex.total_of("delay", &["waits::all"]);
        let waited = |class: &str| -> i64 {
            let rows = block.samples().iter().filter(|row| row.text("wait") == Some(class));
            rows.map(|row| row.value("delay")).sum()
        };
        assert!(held <= waited("mutex") + waited("rwlock") + waited("once"), "{mutex:#?}");
    });
}

/// What is ours counts itself, and nobody else counts it.
#[test]
fn a_profiled_lock_is_booked_once() {
    alone("a_profiled_lock_is_booked_once", || {
        take_all();
        let lock = profiled::profile_mutex!("the-lock", Mutex::new(()));
        let waited = AtomicU64::new(0);
        thread::scope(|scope| {
            let guard = lock.lock().unwrap();
            for _ in 0..4 {
                scope.spawn(|| {
                    let begin = std::time::Instant::now();
                    drop(lock.lock().unwrap());
                    waited.fetch_add(begin.elapsed().as_nanos() as u64, Relaxed);
                });
            }
            thread::sleep(LONG);
            drop(guard);
        });
        let measured = waited.into_inner() as i64;
        for name in ["block", "mutex"] {
            let profile: Profile = read(name);
            let named: i64 = (profile.samples().iter())
                .filter(|row| row.text("lock") == Some("the-lock"))
                .map(|row| row.value("delay"))
                .sum();
            let again: i64 = (profile.samples().iter())
                .filter(|row| row.text("wait") == Some("mutex"))
                .map(|row| row.value("delay"))
                .sum();
            assert!(named > measured / 2 && named <= measured, "{name}: {named} of {measured}");
            assert!(again < measured / 100, "{name}: {again} more of {measured}");
        }
    });
}

#[test]
fn rates_hold_and_off_is_off() {
    alone("rates_hold_and_off_is_off", || {
        profiled::block::set_rate(0);
        profiled::mutex::set_fraction(0);
        let wait = || {
            let lock = Mutex::new(());
            thread::scope(|scope| {
                let guard = lock.lock().unwrap();
                scope.spawn(|| waits_for_mutex(&lock));
                thread::sleep(LONG);
                drop(guard);
            });
        };
        wait();
        assert!(read("block").find(&["waits_for_mutex"]).is_empty());
        assert!(read("mutex").find(&["rates_hold"]).is_empty());
        profiled::block::set_rate(1);
        wait();
        let before = read("block").total_of("delay", &["waits_for_mutex"]);
        assert!(before > 0 && read("mutex").find(&["rates_hold"]).is_empty());
        profiled::block::set_rate(0);
        profiled::mutex::set_fraction(1);
        wait();
        assert_eq!(read("block").total_of("delay", &["waits_for_mutex"]), before);
        assert!(read("mutex").total_of("delay", &["rates_hold"]) > LONG.as_nanos() as i64 / 4);
        assert!(text("block", 1).contains("block sampling is off"));
    });
}
