//! The profile `deadlock`: threads that wait for one another are told with all that one needs at night, and nobody else.
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex as Plain};
use std::thread;
use std::time::{Duration, Instant};

use profiled::deadlock::{check_order, watch};
use profiled::sync::{Condvar, Mutex, RwLock};
use profiled::{parking_lot, profile_mutex};
use profiled_test_profiles::{File, alone, file, read, stress, text};

profile_mutex! {
    static ORDERS: std::sync::Mutex<u64> = std::sync::Mutex::new(0);
    static USERS: std::sync::Mutex<u64> = std::sync::Mutex::new(0);
}

/// Waits until `f` says something. What happens for certain has all the time that there is.
fn until<T>(what: &str, mut f: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = f() {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "never: {what}\n{}", text("deadlock", 2));
        thread::sleep(Duration::from_millis(5));
    }
}

fn named(name: &str, f: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name(name.to_owned()).spawn(f).unwrap();
}

/// What a watch was told: whether it is a deadlock, its number, its locks, its text.
type Told = Arc<Plain<Vec<(bool, u64, Vec<String>, String)>>>;

/// A watch that notes.
fn noting(every: Duration) -> (profiled::deadlock::Watch, Told) {
    let told = Told::default();
    let into = Arc::clone(&told);
    let watch = watch(every, move |cycle| {
        let locks = cycle.locks().map(str::to_owned).collect();
        into.lock().unwrap().push((cycle.is_deadlock(), cycle.number(), locks, cycle.to_string()));
    });
    (watch, told)
}

/// Ends the loops of other threads, also when a check fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// The lines between the first that contains `from` and the next that contains `to`.
fn part<'a>(text: &'a str, from: &str, to: &str) -> Vec<&'a str> {
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.contains(from)).collect();
    assert!(!lines.is_empty(), "no {from:?} in\n{text}");
    let end = lines.iter().skip(1).position(|line| line.contains(to)).map_or(lines.len(), |end| end + 1);
    lines[..end].to_vec()
}

fn has(lines: &[&str], what: &str) -> bool {
    lines.iter().any(|line| line.contains(what))
}

#[inline(never)]
fn takes_users_in_orders(meet: &Barrier) {
    let orders = ORDERS.lock().unwrap();
    meet.wait();
    let users = USERS.lock().unwrap();
    black_box((&orders, &users));
}

#[inline(never)]
fn takes_orders_in_users(meet: &Barrier) {
    let users = USERS.lock().unwrap();
    meet.wait();
    let orders = ORDERS.lock().unwrap();
    black_box((&orders, &users));
}

fn two_locks() {
    let meet = Arc::new(Barrier::new(2));
    let other = Arc::clone(&meet);
    named("billing", move || takes_users_in_orders(&meet));
    named("signing-up", move || takes_orders_in_users(&other));
}

#[test]
fn two_threads_that_wait_for_one_another_are_told_with_all_there_is() {
    alone("two_threads_that_wait_for_one_another_are_told_with_all_there_is", || {
        assert_eq!(profiled::lookup("deadlock").unwrap().count(), 0);
        let (_watch, told) = noting(Duration::from_millis(10));
        two_locks();
        let text = until("two locks", || Some(text("deadlock", 1)).filter(|text| text.contains("DEADLOCK")));
        assert!(text.starts_with("deadlock profile: total 2\n"), "{text}");
        assert!(text.contains("# 1 deadlock, 0 lock order inversions"), "{text}");
        assert!(text.contains("DEADLOCK 1: 2 threads have waited for one another"), "{text}");
        let each = [
            ("billing", "deadlock::USERS", "signing-up", "takes_users_in_orders", "deadlock::ORDERS"),
            ("signing-up", "deadlock::ORDERS", "billing", "takes_orders_in_users", "deadlock::USERS"),
        ];
        for (thread, lock, holder, function, held) in each {
            let lines = part(&text, &format!("thread \"{thread}\""), "thread \"");
            assert!(lines[0].contains(&format!("for {lock} (")), "{lines:#?}");
            assert!(lines[0].contains("tests/deadlock.rs:1"), "where the lock was made: {lines:#?}");
            assert!(lines[0].contains(&format!("held by \"{holder}\" (")), "{lines:#?}");
            assert!(has(&lines, function), "where it waits: {lines:#?}");
            assert!(has(&lines, &format!("# it holds {held} (")), "{lines:#?}");
        }

        let profile = read("deadlock");
        assert_eq!(profile.total("threads"), 2);
        for (thread, lock, _, function, _) in each {
            let rows = profile.find(&[function]);
            let [row] = rows.as_slice() else { panic!("{rows:#?}") };
            assert_eq!(row.value("threads"), 1);
            assert!(row.value("wait") > 0, "{row:#?}");
            let labels = ["cycle", "lock", "thread"].map(|key| row.text(key));
            assert_eq!(labels, [Some("1"), Some(lock), Some(thread)]);
            assert!(row.frames[0].name.contains(function), "none of ours before it: {row:#?}");
        }
        assert_eq!(profiled::lookup("deadlock").unwrap().count(), 1);

        // It lasts, and is told once.
        until("told", || (!told.lock().unwrap().is_empty()).then_some(()));
        thread::sleep(Duration::from_millis(300));
        let told = told.lock().unwrap();
        let [(is_deadlock, 1, locks, of_watch)] = told.as_slice() else { panic!("{told:#?}") };
        let mut locks = locks.clone();
        locks.sort();
        assert!(*is_deadlock && locks == ["deadlock::ORDERS", "deadlock::USERS"], "{locks:?}");
        for (_, _, _, function, _) in each {
            assert!(of_watch.contains(function), "{of_watch}");
        }
        assert!(read("deadlock").total("wait") > profile.total("wait"));
    });
}

#[test]
fn go_reads_the_same_from_both_forms() {
    alone("go_reads_the_same_from_both_forms", || {
        two_locks();
        until("two locks", || (read("deadlock").total("threads") == 2).then_some(()));
        let protobuf = File::new("deadlock.pb.gz", &file("deadlock")).top("threads", "count");
        let of = |name: &str| protobuf.iter().find(|row| row.0.contains(name)).map(|row| row.2);
        assert_eq!((of("takes_users_in_orders"), of("takes_orders_in_users")), (Some(1.0), Some(1.0)));
        // Go's reader of texts takes rows of counts, and everything else here for comments.
        let of_text = File::new("deadlock.txt", text("deadlock", 2).as_bytes()).pprof(&["-raw"]);
        let rows = part(&of_text, "deadlock/count", "Locations");
        let rows = rows.iter().filter(|row| row.trim_start().starts_with("1: ")).count();
        assert_eq!(rows, 2, "{of_text}");
    });
}

#[test]
fn three_threads_and_three_kinds_of_locks() {
    alone("three_threads_and_three_kinds_of_locks", || {
        let a = Arc::new(profile_mutex!("three/a", std::sync::Mutex::new(1)));
        let b = Arc::new(profile_mutex!("three/b", std::sync::RwLock::new(2)));
        let c = Arc::new(profile_mutex!("three/c", ::parking_lot::Mutex::new(3)));
        let meet = Arc::new(Barrier::new(3));
        #[inline(never)]
        fn holds_a(a: &Mutex<i32>, b: &RwLock<i32>, meet: &Barrier) {
            let first = a.lock().unwrap();
            meet.wait();
            black_box((&first, &b.write().unwrap()));
        }
        #[inline(never)]
        fn holds_b(b: &RwLock<i32>, c: &parking_lot::Mutex<i32>, meet: &Barrier) {
            let first = b.write().unwrap();
            meet.wait();
            black_box((&first, &c.lock()));
        }
        #[inline(never)]
        fn holds_c(c: &parking_lot::Mutex<i32>, a: &Mutex<i32>, meet: &Barrier) {
            let first = c.lock();
            meet.wait();
            black_box((&first, &a.lock().unwrap()));
        }
        {
            let (a, b, c) = ((a.clone(), b.clone()), (b.clone(), c.clone()), (c.clone(), a.clone()));
            let meet = [meet.clone(), meet.clone(), meet];
            let [x, y, z] = meet;
            named("alpha", move || holds_a(&a.0, &a.1, &x));
            named("beta", move || holds_b(&b.0, &b.1, &y));
            named("gamma", move || holds_c(&c.0, &c.1, &z));
        }
        let all = until("three", || Some(text("deadlock", 1)).filter(|text| text.contains("DEADLOCK")));
        assert!(all.contains("3 threads have waited for one another"), "{all}");
        for (thread, lock, holder, function) in [
            ("alpha", "three/b", "beta", "holds_a"),
            ("beta", "three/c", "gamma", "holds_b"),
            ("gamma", "three/a", "alpha", "holds_c"),
        ] {
            let lines = part(&all, &format!("thread \"{thread}\""), "thread \"");
            assert!(
                lines[0].contains(lock) && lines[0].contains(&format!("held by \"{holder}\"")),
                "{lines:#?}"
            );
            assert!(has(&lines, function), "{lines:#?}");
        }
        // Somebody who comes later is behind it, and in no cycle.
        let late = a.clone();
        named("late", move || _ = late.lock());
        let all = until("one behind", || Some(text("deadlock", 2)).filter(|text| text.contains("\"late\"")));
        assert!(all.contains("1 more wait behind these"), "{all}");
        assert_eq!(read("deadlock").total("threads"), 3);
        assert!(!text("deadlock", 1).contains("\"late\""), "in full only");
    });
}

#[test]
fn a_thread_that_waits_for_itself() {
    alone("a_thread_that_waits_for_itself", || {
        named("twice", || {
            let _first = USERS.lock();
            _ = USERS.lock();
        });
        let all = until("itself", || Some(text("deadlock", 1)).filter(|text| text.contains("DEADLOCK")));
        assert!(all.contains("a thread has waited for itself") && all.contains(", itself"), "{all}");
    });
}

#[test]
fn where_order_is_checked_it_is_known_where_locks_were_taken_and_who_reads() {
    alone("where_order_is_checked_it_is_known_where_locks_were_taken_and_who_reads", || {
        assert!(!check_order(true) && check_order(true), "what it was before");
        let shared = Arc::new(profile_mutex!("read", std::sync::RwLock::new(1)));
        let (other, meet) = (shared.clone(), Arc::new(Barrier::new(2)));
        let meet_too = meet.clone();
        #[inline(never)]
        fn reads(lock: &RwLock<i32>, meet: &Barrier) {
            let read = takes_to_read(lock);
            meet.wait();
            black_box((&read, &USERS.lock().unwrap()));
        }
        #[inline(never)]
        fn takes_to_read(lock: &RwLock<i32>) -> profiled::sync::RwLockReadGuard<'_, i32> {
            black_box(lock.read().unwrap())
        }
        named("reader", move || reads(&shared, &meet));
        named("writer", move || {
            let users = USERS.lock().unwrap();
            meet_too.wait();
            black_box((&users, &other.write().unwrap()));
        });
        let all = until("a reader", || Some(text("deadlock", 1)).filter(|text| text.contains("DEADLOCK")));
        let writer = part(&all, "thread \"writer\"", "thread \"");
        assert!(writer[0].contains("for read (") && writer[0].contains("held by \"reader\""), "{writer:#?}");
        let reader = part(&all, "thread \"reader\"", "thread \"");
        let taken = part(&reader.join("\n"), "# it holds read (", "#nothing")
            .iter()
            .map(|line| (*line).to_owned())
            .collect::<Vec<_>>();
        assert!(taken[0].contains("taken, to read at"), "{taken:#?}");
        assert!(taken.iter().any(|line| line.contains("takes_to_read")), "{taken:#?}");
    });
}

/// A lock that is taken in both orders, by one thread after the other, so that nothing ever happens.
#[inline(never)]
fn a_then_b(a: &Mutex<i32>, b: &Mutex<i32>) {
    let first = takes_first(a);
    let second = takes_second(b);
    black_box((&first, &second));
}

#[inline(never)]
fn b_then_a(a: &Mutex<i32>, b: &Mutex<i32>) {
    let first = b.lock().unwrap();
    let second = a.lock().unwrap();
    black_box((&first, &second));
}

#[inline(never)]
fn takes_first(lock: &Mutex<i32>) -> profiled::sync::MutexGuard<'_, i32> {
    black_box(lock.lock().unwrap())
}

#[inline(never)]
fn takes_second(lock: &Mutex<i32>) -> profiled::sync::MutexGuard<'_, i32> {
    black_box(lock.lock().unwrap())
}

#[test]
fn two_orders_are_told_once_with_their_stacks() {
    alone("two_orders_are_told_once_with_their_stacks", || {
        check_order(true);
        let (_watch, told) = noting(Duration::from_millis(5));
        let a = profile_mutex!("order/a", std::sync::Mutex::new(1));
        let b = profile_mutex!("order/b", std::sync::Mutex::new(1));
        let c = profile_mutex!("order/c", std::sync::Mutex::new(1));
        for _ in 0..100 {
            // The same order everywhere, by way of whatever others.
            a_then_b(&a, &b);
            a_then_b(&a, &c);
            a_then_b(&b, &c);
        }
        thread::sleep(Duration::from_millis(50));
        assert!(told.lock().unwrap().is_empty(), "{told:?}");
        assert!(text("deadlock", 1).contains("0 lock order inversions"));
        thread::scope(|scope| {
            let run = || (0..100).for_each(|_| b_then_a(&a, &b));
            thread::Builder::new().name("backwards".to_owned()).spawn_scoped(scope, run).unwrap();
        });
        until("told", || (!told.lock().unwrap().is_empty()).then_some(()));
        for _ in 0..100 {
            a_then_b(&a, &b);
            b_then_a(&a, &b);
        }
        thread::sleep(Duration::from_millis(100));
        let told = told.lock().unwrap();
        let [(false, 1, locks, of_watch)] = told.as_slice() else { panic!("{told:#?}") };
        assert_eq!(locks, &["order/a", "order/b"]);

        let all = text("deadlock", 1);
        assert_eq!(all.matches("LOCK ORDER").count(), 1, "{all}");
        assert_eq!(profiled::lookup("deadlock").unwrap().count(), 1);
        assert!(
            all.contains("order/a (") && all.contains("are taken in both orders, and can deadlock"),
            "{all}"
        );
        for text in [&all, of_watch] {
            let second = part(text, "\"backwards\" took order/b", "#nothing");
            let first = &part(text, "took order/a (", "\"backwards\"");
            let before = |lines: &[&str], one: &str, two: &str| {
                let at = |what: &str| lines.iter().position(|line| line.contains(what));
                at(one).zip(at(two)).is_some_and(|(one, two)| one < two)
            };
            assert!(before(first, "takes_first", "and then order/b"), "{text}");
            assert!(before(first, "and then order/b", "takes_second"), "{text}");
            assert!(has(first, "a_then_b"), "{text}");
            assert!(before(&second, "b_then_a", "and then order/a"), "{text}");
        }
        assert!(check_order(false) && !check_order(false));
    });
}

/// Locks that were made at one place are told apart one by one.
#[test]
fn locks_of_one_place_have_orders_of_their_own() {
    alone("locks_of_one_place_have_orders_of_their_own", || {
        check_order(true);
        let accounts: Vec<Mutex<i32>> =
            (0..100).map(|_| profile_mutex!("accounts", std::sync::Mutex::new(0))).collect();
        let transfer = |a: usize, b: usize| a_then_b(&accounts[a.min(b)], &accounts[a.max(b)]);
        for a in 0..100 {
            for b in (0..100).filter(|&b| b != a) {
                transfer(a, b);
            }
        }
        let all = text("deadlock", 1);
        assert!(all.contains("0 lock order inversions") && all.contains("4950 orders are known"), "{all}");
        // More of them than there is room for: they are forgotten, and said to be.
        let many: Vec<Mutex<i32>> = (0..40_000).map(Mutex::new).collect();
        many.windows(2).for_each(|two| a_then_b(&two[0], &two[1]));
        let all = text("deadlock", 1);
        assert!(
            all.contains("0 lock order inversions") && all.contains("orders of locks were forgotten"),
            "{all}"
        );
        b_then_a(&accounts[1], &accounts[2]);
        a_then_b(&accounts[1], &accounts[2]);
        assert!(text("deadlock", 1).contains("1 lock order inversion;"));
        for _ in 0..20 {
            let two = [Mutex::new(0), Mutex::new(1)];
            a_then_b(&two[0], &two[1]);
            b_then_a(&two[0], &two[1]);
        }
        let all = text("deadlock", 1);
        assert!(all.contains("2 lock order inversions"), "{all}");
        assert!(all.contains("two locks of accounts"), "{all}");
        assert!(all.contains("(20 pairs of locks)"), "one row for one pair of places: {all}");
    });
}

/// What is only tried deadlocks with nobody; what is taken meanwhile does.
#[test]
fn what_is_tried_comes_after_nothing() {
    alone("what_is_tried_comes_after_nothing", || {
        check_order(true);
        let a = profile_mutex!("tried/a", std::sync::Mutex::new(1));
        let b = profile_mutex!("tried/b", std::sync::Mutex::new(1));
        let r = profile_mutex!("tried/r", std::sync::RwLock::new(1));
        let p = profile_mutex!("tried/p", ::parking_lot::Mutex::new(1));
        let q = profile_mutex!("tried/q", ::parking_lot::RwLock::new(1));
        let time = Duration::from_secs(1);
        a_then_b(&a, &b);
        for _ in 0..10 {
            let held = b.lock().unwrap();
            black_box((&held, &a.try_lock().unwrap()));
            black_box((&held, &r.try_read().unwrap()));
            black_box((&held, &r.try_write().unwrap()));
            black_box((&held, &p.try_lock().unwrap()));
            black_box((&held, &p.try_lock_for(time).unwrap()));
            black_box((&held, &q.try_read().unwrap()));
            black_box((&held, &q.try_write_for(time).unwrap()));
            drop(held);
            let held =
                (a.try_lock().unwrap(), r.try_read().unwrap(), p.try_lock_for(time).unwrap(), q.try_write());
            black_box((&held, &b.lock().unwrap()));
        }
        let all = text("deadlock", 1);
        assert!(all.contains("0 lock order inversions"), "{all}");
        for (lock, take) in [
            ("tried/r", &(|| drop(r.read())) as &dyn Fn()),
            ("tried/p", &|| drop(p.lock())),
            ("tried/q", &|| drop(q.write())),
        ] {
            let held = b.lock().unwrap();
            take();
            drop(held);
            let all = text("deadlock", 1);
            assert!(
                all.contains(&format!("took {lock} ")) && all.contains(&format!("and then {lock} ")),
                "{all}"
            );
        }
    });
}

#[test]
fn a_lock_that_is_taken_twice_by_right_is_no_order() {
    alone("a_lock_that_is_taken_twice_by_right_is_no_order", || {
        check_order(true);
        let again = profile_mutex!("again", ::parking_lot::ReentrantMutex::new(1));
        let (b, r) = (Mutex::new(1), profile_mutex!("up", ::parking_lot::RwLock::new(1)));
        for _ in 0..3 {
            let outer = again.lock();
            let held = b.lock().unwrap();
            black_box((&outer, &held, &again.lock()));
            drop(held);
            let up = r.upgradable_read();
            let write = parking_lot::RwLockUpgradableReadGuard::upgrade(up);
            let read = parking_lot::RwLockWriteGuard::downgrade(write);
            let twice = r.read_recursive();
            black_box((&read, &twice));
        }
        // Nothing is held: what comes now comes after nothing.
        let held = r.write();
        black_box((&held, &again.lock()));
        drop(held);
        let all = text("deadlock", 1);
        assert!(all.contains("1 lock order inversion;"), "{all}");
        assert!(all.contains("took again (") && all.contains("and then again ("), "{all}");
        // Nothing was left behind: this one comes after nothing, and then before all.
        let first = Mutex::new(1);
        drop(first.lock());
        let held = first.lock().unwrap();
        black_box((&held, &r.write()));
        black_box((&held, &again.lock()));
        black_box((&held, &b.lock()));
        drop(held);
        let all = text("deadlock", 1);
        assert!(all.contains("1 lock order inversion;"), "{all}");
    });
}

/// Guards that are forgotten, or whose lock is released by another thread, are nobody's ruin.
#[test]
#[expect(unsafe_code, reason = "unlocks a lock whose guard was forgotten")]
fn guards_that_go_astray() {
    alone("guards_that_go_astray", || {
        check_order(true);
        let p = Arc::new(profile_mutex!("astray/p", ::parking_lot::Mutex::new(1)));
        let t = profile_mutex!("astray/t", ::tokio::sync::Mutex::new(1));
        let (a, b) = (Mutex::new(1), Mutex::new(2));
        for _ in 0..100 {
            let sent = t.blocking_lock();
            thread::scope(|scope| _ = scope.spawn(move || drop(sent)));
            // Taken here, released there: this thread holds it no longer.
            std::mem::forget(p.lock());
            thread::scope(|scope| {
                scope.spawn(|| {
                    // SAFETY: the guard was forgotten, and its thread does not believe to have the lock.
                    unsafe { p.force_unlock() };
                });
            });
            drop(a.lock());
            let held = a.lock().unwrap();
            black_box((&held, &p.lock(), &t.blocking_lock()));
        }
        let all = text("deadlock", 1);
        assert!(all.contains("0 lock order inversions"), "{all}");
        // More than a thread's list has room for, and then it goes on with others.
        thread::scope(|scope| {
            scope.spawn(|| {
                let many: Vec<Mutex<i32>> = (0..100).map(Mutex::new).collect();
                let guards: Vec<_> = many.iter().map(|lock| lock.lock().unwrap()).collect();
                drop(guards);
                a_then_b(&a, &b);
                std::mem::forget(many[0].lock());
            });
        });
        let all = text("deadlock", 1);
        assert!(all.contains("0 lock order inversions") && all.contains("held too many"), "{all}");
        b_then_a(&a, &b);
        assert!(text("deadlock", 1).contains("1 lock order inversion"));

        // A guard that nobody will ever drop: its thread is gone, which is no deadlock.
        let gone = Arc::new(profile_mutex!("astray/gone", std::sync::Mutex::new(1)));
        let (forgets, waits) = (gone.clone(), gone);
        thread::spawn(move || std::mem::forget(forgets.lock())).join().unwrap();
        named("left alone", move || _ = waits.lock());
        let all = until("alone", || Some(text("deadlock", 2)).filter(|text| text.contains("\"left alone\"")));
        let lines = part(&all, "thread \"left alone\"", "thread \"");
        assert!(
            lines[0].contains("astray/gone") && lines[0].contains("held by that has ended"),
            "{lines:#?}"
        );
        assert!(all.contains("0 deadlocks"), "{all}");
    });
}

/// Many threads, many locks, one order, and waits that end by themselves: nothing is reported, however often one looks.
#[test]
fn a_program_that_is_only_busy_is_left_alone() {
    alone("a_program_that_is_only_busy_is_left_alone", || {
        let (_watch, told) = noting(Duration::from_millis(1));
        let locks: Vec<Mutex<u64>> =
            (0..6).map(|_| profile_mutex!("busy", std::sync::Mutex::new(0))).collect();
        let shared = profile_mutex!("busy/shared", std::sync::RwLock::new(0));
        let (p, q) = (
            profile_mutex!("busy/p", ::parking_lot::Mutex::new(0)),
            profile_mutex!("busy/q", ::parking_lot::Mutex::new(0)),
        );
        let (done, looks, gave_up) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            let _ends = Ends(&done);
            for n in 0..8_usize {
                let (locks, shared, done) = (&locks, &shared, &done);
                scope.spawn(move || {
                    let mut random = n as u64 + 1;
                    while !done.load(Relaxed) {
                        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                        let (a, b) = ((random >> 40) as usize % 6, (random >> 50) as usize % 6);
                        let first = locks[a.min(b)].lock().unwrap();
                        let second = (a != b).then(|| locks[a.max(b)].lock().unwrap());
                        if random.is_multiple_of(7) {
                            drop(shared.write());
                        } else {
                            drop(shared.read());
                        }
                        if random.is_multiple_of(5) {
                            thread::yield_now();
                        }
                        black_box((&first, &second));
                    }
                });
            }
            // Two that would deadlock, if either waited for longer than it does.
            for (first, second) in [(&p, &q), (&q, &p)] {
                let (done, gave_up) = (&done, &gave_up);
                scope.spawn(move || {
                    while !done.load(Relaxed) {
                        let held = first.lock();
                        thread::sleep(Duration::from_millis(2));
                        if second.try_lock_for(Duration::from_millis(30)).is_none() {
                            gave_up.fetch_add(1, Relaxed);
                        }
                        drop(held);
                    }
                });
            }
            let begin = Instant::now();
            while begin.elapsed() < stress() || gave_up.load(Relaxed) < 3 || looks.load(Relaxed) <= 3 {
                let profile = read("deadlock");
                assert_eq!(profile.samples().len(), 0, "{}", text("deadlock", 2));
                looks.fetch_add(1, Relaxed);
                // All who wait are listed, and whatever they say of their locks is true.
                for line in text("deadlock", 2).lines().filter(|line| line.starts_with("# thread")) {
                    assert!(line.contains(" for busy"), "{line}");
                }
                assert!(begin.elapsed() < stress() + Duration::from_secs(60), "{gave_up:?}");
            }
        });
        assert!(looks.load(Relaxed) > 3 && told.lock().unwrap().is_empty(), "{told:?}");
    });
}

/// One holds `inner` alone, and then `outer` alone; the other one `inner` within `outer`. Between looks at the one and at
/// the other they change places, and each seems to wait for the other: only if all is true at one moment it is a deadlock.
///
/// Others that wait stand between the two, so that there is time between the looks.
#[test]
fn what_was_never_true_at_one_moment_is_no_deadlock() {
    alone("what_was_never_true_at_one_moment_is_no_deadlock", || {
        let (outer, inner) = (Mutex::new(0_u64), Mutex::new(0_u64));
        let (done, ready) = (AtomicBool::new(false), Barrier::new(2));
        let parked = (Mutex::new(false), Condvar::new());
        let spends = |guard: profiled::sync::MutexGuard<'_, u64>| {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_micros(30) {
                std::hint::spin_loop();
            }
            drop(guard);
        };
        thread::scope(|scope| {
            let _ends = Ends(&done);
            scope.spawn(|| {
                drop(inner.lock());
                ready.wait();
                while !done.load(Relaxed) {
                    spends(inner.lock().unwrap());
                    spends(outer.lock().unwrap());
                }
                *parked.0.lock().unwrap() = true;
                parked.1.notify_all();
            });
            ready.wait();
            for n in 1..=500 {
                scope.spawn(|| drop(parked.1.wait_while(parked.0.lock().unwrap(), |done| !*done)));
                if n % 100 == 0 {
                    thread::sleep(Duration::from_millis(10));
                }
            }
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let outer = outer.lock().unwrap();
                    spends(inner.lock().unwrap());
                    drop(outer);
                }
            });
            let profile = profiled::lookup("deadlock").unwrap();
            let (begin, mut looks) = (Instant::now(), 0);
            while begin.elapsed() < stress() || looks < 100 {
                assert_eq!(profile.count(), 0, "{}", text("deadlock", 1));
                looks += 1;
            }
        });
    });
}

#[test]
fn who_waits_for_what_nobody_holds_is_listed_without_a_holder() {
    alone("who_waits_for_what_nobody_holds_is_listed_without_a_holder", || {
        #[inline(never)]
        fn waits_for_news(on: &(Mutex<bool>, Condvar)) {
            let news = on.0.lock().unwrap();
            drop(black_box(on.1.wait_while(news, |news| !*news)));
        }
        let on = Arc::new((Mutex::new(false), Condvar::new()));
        let theirs = on.clone();
        named("reading", move || waits_for_news(&theirs));
        let all = until("a wait", || Some(text("deadlock", 2)).filter(|text| text.contains("\"reading\"")));
        let lines = part(&all, "thread \"reading\"", "thread \"");
        assert!(lines[0].contains("for what nobody holds") && has(&lines, "waits_for_news"), "{lines:#?}");
        assert!(all.contains("0 deadlocks, 0 lock order inversions; 1 waiting thread in all"), "{all}");
        *on.0.lock().unwrap() = true;
        on.1.notify_all();
        until("no more", || (!text("deadlock", 2).contains("\"reading\"")).then_some(()));
    });
}

#[test]
fn a_watch_may_be_dropped_anywhere_and_its_callback_may_panic() {
    alone("a_watch_may_be_dropped_anywhere_and_its_callback_may_panic", || {
        // It drops itself in its callback.
        let (calls, own) = (Arc::new(AtomicUsize::new(0)), Arc::new(Plain::new(None)));
        let (count, slot) = (calls.clone(), own.clone());
        *own.lock().unwrap() = Some(watch(Duration::from_millis(1), move |_| {
            count.fetch_add(1, Relaxed);
            drop(slot.lock().unwrap().take());
        }));
        // This one panics at each call, and asks for profiles, and is called again.
        let panics = Arc::new(AtomicUsize::new(0));
        let count = panics.clone();
        let _panicking = watch(Duration::from_millis(1), move |cycle| {
            count.fetch_add(1, Relaxed);
            assert!(text("deadlock", 2).contains("DEADLOCK"));
            panic!("told of {cycle:?}");
        });
        // And one is dropped before there is anything to tell.
        let (early, nothing) = noting(Duration::from_millis(1));
        drop(early);
        two_locks();
        until("a call", || (calls.load(Relaxed) == 1 && panics.load(Relaxed) == 1).then_some(()));
        named("thrice", || {
            let lock = Mutex::new(1);
            let _held = lock.lock();
            drop(lock.lock());
        });
        until("a second call", || (panics.load(Relaxed) == 2).then_some(()));
        thread::sleep(Duration::from_millis(50));
        assert_eq!(calls.load(Relaxed), 1, "dropped is dropped");
        assert!(nothing.lock().unwrap().is_empty());
        // Its own thread is none of the program's that waits.
        assert!(!text("deadlock", 2).contains("profiled-locks"));
        let caught = catch_unwind(AssertUnwindSafe(|| drop(noting(Duration::ZERO))));
        assert!(caught.is_ok());
    });
}

/// In a forked child nobody waits but those who wait there.
#[test]
#[expect(unsafe_code, reason = "forks")]
fn a_forked_child_has_no_deadlock_of_its_parents() {
    alone("a_forked_child_has_no_deadlock_of_its_parents", || {
        check_order(true);
        two_locks();
        until("two locks", || (read("deadlock").total("threads") == 2).then_some(()));
        // SAFETY: the child touches what a forked child may, and leaves without a destructor.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: takes a number.
            unsafe { libc::alarm(60) };
            let fine =
                text("deadlock", 2).contains("0 deadlocks, 0 lock order inversions; 0 waiting threads");
            // Nor does a thread that is new here, and has what another one left.
            let lock = Mutex::new(1);
            let nobody = || {
                drop(lock.lock());
                text("deadlock", 2).contains("; 0 waiting threads")
            };
            let fine = fine && thread::scope(|scope| scope.spawn(nobody).join().unwrap()) && nobody();
            // SAFETY: ends the process at once.
            unsafe { libc::_exit(i32::from(!fine)) };
        }
        let mut status = 0;
        // SAFETY: waits for the child, with room for its status.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
    });
}
