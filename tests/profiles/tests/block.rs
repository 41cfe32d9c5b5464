//! Profile `block`: each kind of wait with its stack; who waits right now; text that reads as the protobuf does.
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use profiled::profile_mutex;
use profiled::sync::{Barrier, Condvar, LazyLock, Mutex, Once, OnceLock, RwLock, mpsc};
use profiled_test_profiles::{File, Profile, Sample, alone, file, read, text};

const LONG: Duration = Duration::from_millis(30);

fn later(f: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        thread::sleep(LONG);
        f();
    })
}

/// A function of its own for each kind of wait, so that its row is told by its name.
macro_rules! waits {
    ($($name:ident: $wait:block)*) => {
        $(#[inline(never)] fn $name() $wait)*

        const KINDS: &[(&str, fn())] = &[$((concat!("block::", stringify!($name)), $name)),*];
    };
}

waits! {
    channel_receive: {
        let (sender, receiver) = mpsc::channel();
        let other = later(move || sender.send(1).unwrap());
        assert_eq!(receiver.recv(), Ok(1));
        other.join().unwrap();
    }
    channel_send: {
        let (sender, receiver) = mpsc::sync_channel(1);
        sender.send(1).unwrap();
        let other = later(move || assert_eq!(receiver.iter().collect::<Vec<_>>(), [1, 2]));
        sender.send(2).unwrap();
        drop(sender);
        other.join().unwrap();
    }
    channel_close: {
        let (sender, receiver) = mpsc::channel::<u8>();
        let other = later(move || drop(sender));
        assert!(receiver.recv().is_err());
        other.join().unwrap();
    }
    mutex: {
        let lock = std::sync::Arc::new(Mutex::new(0));
        let (theirs, ready) = (lock.clone(), std::sync::Arc::new(std::sync::Barrier::new(2)));
        let there = ready.clone();
        let other = thread::spawn(move || {
            let _guard = theirs.lock().unwrap();
            there.wait();
            thread::sleep(LONG);
        });
        ready.wait();
        drop(lock.lock().unwrap());
        other.join().unwrap();
    }
    rwlock: {
        let lock = std::sync::Arc::new(RwLock::new(0));
        let (theirs, ready) = (lock.clone(), std::sync::Arc::new(std::sync::Barrier::new(2)));
        let there = ready.clone();
        let other = thread::spawn(move || {
            let _guard = theirs.write().unwrap();
            there.wait();
            thread::sleep(LONG);
        });
        ready.wait();
        drop(lock.read().unwrap());
        other.join().unwrap();
    }
    condvar: {
        let both = std::sync::Arc::new((Mutex::new(false), Condvar::new()));
        let theirs = both.clone();
        let other = later(move || {
            *theirs.0.lock().unwrap() = true;
            theirs.1.notify_all();
        });
        let guard = both.1.wait_while(both.0.lock().unwrap(), |done| !*done).unwrap();
        assert!(*guard);
        drop(guard);
        other.join().unwrap();
    }
    join: {
        let other = later(|| ());
        let _waiting = profiled::block::region("join");
        other.join().unwrap();
    }
    barrier: {
        let barrier = std::sync::Arc::new(Barrier::new(2));
        let theirs = barrier.clone();
        let other = later(move || _ = theirs.wait());
        barrier.wait();
        other.join().unwrap();
    }
    condvar_in_vain: {
        let (lock, condvar) = (std::sync::Mutex::new(()), Condvar::new());
        let (_guard, result) = condvar.wait_timeout_while(lock.lock().unwrap(), LONG, |()| true).unwrap();
        assert!(result.timed_out());
    }
    once: {
        static ONCE: Once = Once::new();
        static BEGUN: AtomicBool = AtomicBool::new(false);
        let other = thread::spawn(|| ONCE.call_once(|| {
            BEGUN.store(true, Relaxed);
            thread::sleep(LONG);
        }));
        while !BEGUN.load(Relaxed) {
            thread::yield_now();
        }
        ONCE.call_once(|| unreachable!("another thread has called it"));
        other.join().unwrap();
    }
    once_lock: {
        static LOCK: OnceLock<u32> = OnceLock::new();
        static BEGUN: AtomicBool = AtomicBool::new(false);
        let other = thread::spawn(|| _ = LOCK.get_or_init(|| {
            BEGUN.store(true, Relaxed);
            thread::sleep(LONG);
            7
        }));
        while !BEGUN.load(Relaxed) {
            thread::yield_now();
        }
        assert_eq!(*LOCK.get_or_init(|| 8), 7);
        other.join().unwrap();
    }
    lazy_lock: {
        static BEGUN: AtomicBool = AtomicBool::new(false);
        static LOCK: LazyLock<u32> = LazyLock::new(|| {
            BEGUN.store(true, Relaxed);
            thread::sleep(LONG);
            7
        });
        let other = thread::spawn(|| _ = *LOCK);
        while !BEGUN.load(Relaxed) {
            thread::yield_now();
        }
        assert_eq!(*LOCK, 7);
        other.join().unwrap();
    }
}

/// What the sampled waits of a function come to: how often, and nanoseconds.
fn row(profile: &Profile, function: &str) -> (i64, i64) {
    (profile.total_of("contentions", &[function]), profile.total_of("delay", &[function]))
}

/// Each waits 30 ms and a little, once; who makes a value that others wait for waits for nobody.
#[test]
fn every_kind_of_wait_is_there_with_its_stack() {
    alone("every_kind_of_wait_is_there_with_its_stack", || {
        profiled::block::set_rate(1);
        for (function, wait) in KINDS {
            let begin = Instant::now();
            wait();
            let whole = begin.elapsed().as_nanos() as i64;
            let block = read("block");
            // At the leaf: our own frames and those of the standard library beneath them are cut off.
            let leaf = |sample: &&Sample| sample.frames.first().is_some_and(|frame| frame.name == *function);
            let found: Vec<_> = block.find(&[*function]).into_iter().filter(leaf).collect();
            let [sample] = found[..] else { panic!("{function}: {} rows", found.len()) };
            assert_eq!(sample.value("contentions"), 1, "{function}");
            // The other thread sleeps for 30 ms at least, and who waits for it may be late: a busy machine takes threads
            // off for 10 or 20.
            let delay = sample.value("delay");
            assert!(delay > LONG.as_nanos() as i64 / 10 && delay <= whole, "{function}: {delay} of {whole}");
        }
        let block = read("block");
        for function in ["block::once", "block::once_lock", "block::lazy_lock"] {
            let maker = format!("{function}::{{{{closure}}}}");
            let made = |sample: &&Sample| sample.frames.first().is_some_and(|frame| frame.name == maker);
            assert_eq!(
                block.samples().iter().filter(made).count(),
                0,
                "{maker} makes it and waits for nobody"
            );
        }
        let join = block;
        let sample = join.find(&["block::join"]);
        assert_eq!(sample[0].text("region"), Some("join"));
    });
}

static STOP: AtomicBool = AtomicBool::new(false);

#[inline(never)]
fn stuck(lock: &Mutex<u64>) {
    *lock.lock().unwrap() += 1;
}

/// Somebody who waits is there with the time so far, in the row where he ends up; totals only grow.
#[test]
fn who_waits_right_now_is_there() {
    alone("who_waits_right_now_is_there", || {
        let lock = profile_mutex!("stuck", std::sync::Mutex::new(0));
        let guard = lock.lock().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| stuck(&lock));
            let mut before = (0, 0);
            let begin = Instant::now();
            while before.1 < 100_000_000 {
                assert!(begin.elapsed() < Duration::from_secs(60), "nobody waits: {before:?}");
                let now = row(&read("block"), "block::stuck");
                assert!(
                    now.0 == 1 && now.1 > before.1 || now == (0, 0) && before == now,
                    "{before:?} {now:?}"
                );
                before = now;
                thread::sleep(Duration::from_millis(5));
            }
            let alive = begin.elapsed().as_nanos() as i64;
            assert!(before.1 <= alive, "{before:?} in {alive}");
            drop(guard);
            let settle = Instant::now();
            while *lock.lock().unwrap() == 0 {
                assert!(settle.elapsed() < Duration::from_secs(60));
            }
            let after = row(&read("block"), "block::stuck");
            assert!(after.0 == 1 && after.1 >= before.1, "{before:?} {after:?}");
        });
        let block = read("block");
        assert_eq!(block.find(&["block::stuck"]).len(), 1, "one row, before and after");
    });
}

#[inline(never)]
fn queries() -> profiled::block::Region {
    let region = profiled::block::region("db.query");
    // Else this would be a jump, and on no stack.
    std::hint::black_box(());
    region
}

/// A region is there while it lasts, ends where it is dropped, on another thread too, and is one wait of one label.
#[test]
fn a_region_is_a_wait_like_others() {
    alone("a_region_is_a_wait_like_others", || {
        profiled::block::set_rate(1);
        // The counter's first calibration is right to 0.1 %.
        let [short, long] = [0.998, 1.002].map(|share| move |time: i64| (time as f64 * share) as i64);
        let once = LONG.as_nanos() as i64;
        let begin = Instant::now();
        let region = queries();
        thread::sleep(LONG);
        let halfway = row(&read("block"), "block::queries");
        assert!(halfway.0 == 1 && halfway.1 >= short(once), "{halfway:?}");
        thread::spawn(move || {
            thread::sleep(LONG);
            drop(region);
        })
        .join()
        .unwrap();
        let whole = begin.elapsed().as_nanos() as i64;
        // It is over: what passes now is not in it.
        thread::sleep(LONG);
        let block = read("block");
        let found = block.find(&["block::queries"]);
        let [sample] = found[..] else { panic!("{} rows", found.len()) };
        assert_eq!((sample.value("contentions"), sample.text("region")), (1, Some("db.query")));
        assert_eq!(sample.frames[0].name, "block::queries");
        let delay = sample.value("delay");
        assert!(delay >= short(2 * once) && delay <= long(whole), "{delay} of {whole}");
        assert_eq!(sample.text("lock"), None);
        profiled::block::set_rate(0);
        drop(queries());
        assert_eq!(row(&read("block"), "block::queries").0, 1, "off, nothing is timed");
    });
}

/// Waits end all the time while somebody looks: no total ever gets less, and in the end they are what was waited.
#[test]
fn totals_only_grow() {
    alone("totals_only_grow", || {
        profiled::block::set_rate(1);
        let lock = profile_mutex!("busy", std::sync::Mutex::new(0));
        let seen = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !STOP.load(Relaxed) {
                        let begin = Instant::now();
                        let guard = lock.lock().unwrap();
                        seen.fetch_add(begin.elapsed().as_nanos() as u64, Relaxed);
                        thread::sleep(Duration::from_micros(200));
                        drop(guard);
                    }
                });
            }
            let mut before = (0, 0);
            let end = Instant::now() + profiled_test_profiles::stress();
            while Instant::now() < end {
                let block = profiled::lookup("block").unwrap().snapshot();
                let sum = |value: usize| block.samples().map(|sample| sample.values()[value]).sum::<i64>();
                let now = (sum(0), sum(1));
                assert!(now.0 >= before.0 && now.1 >= before.1, "{before:?} {now:?}");
                before = now;
            }
            STOP.store(true, Relaxed);
        });
        let (delay, seen) = (read("block").total("delay") as f64, seen.load(Relaxed) as f64);
        assert!(delay <= seen && delay > 0.9 * seen, "{delay} of {seen}");
    });
}

/// Go's `pprof` finds the same in both forms, in whatever rate; the text of Go's own mutex profile is scaled twice.
#[test]
#[cfg_attr(profiled_portable, ignore = "Go's pprof is asked once")]
fn text_reads_as_the_protobuf_does() {
    alone("text_reads_as_the_protobuf_does", || {
        profiled::block::set_rate(5_000_000);
        profiled::mutex::set_fraction(10);
        let lock = profile_mutex!("read twice", std::sync::Mutex::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let guard = lock.lock().unwrap();
                        thread::sleep(Duration::from_micros(50));
                        drop(guard);
                    }
                });
            }
        });
        for name in ["block", "mutex"] {
            let binary = File::new(&format!("{name}.pb.gz"), &file(name));
            let form = text(name, 1);
            let header = if name == "block" {
                "--- contention:\ncycles/second="
            } else {
                "--- mutex:\ncycles/second="
            };
            assert!(form.starts_with(header), "{form}");
            assert!(
                form.contains(if name == "block" { "1 in 5000000 ns" } else { "1 contention in 10" }),
                "{form}"
            );
            let textual = File::new(&format!("{name}.txt"), form.as_bytes());
            // Names are not in what pprof reads of a text: sums by address, which are rows.
            for (kind, unit) in [("contentions", "count"), ("delay", "ns")] {
                let sum = |file: &File| -> f64 { file.top(kind, unit).iter().map(|row| row.1).sum() };
                let (of_binary, of_text) = (sum(&binary), sum(&textual));
                assert!(of_binary > 0.0, "{name} {kind}");
                assert!(
                    (of_text / of_binary - 1.0).abs() < 1e-6,
                    "{name} {kind}: {of_text} against {of_binary}"
                );
            }
        }
    });
}
