//! Sampling by the wall clock: threads that wait are there, with where, at what, and for how long.
#![cfg(not(profiled_portable))]
#![expect(unsafe_code, reason = "pipes and signal masks")]
use std::io::Read as _;
use std::os::fd::FromRawFd as _;
use std::sync::{Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use profiled::cpu::Options;
use profiled_test_profiles::cpu::at;
use profiled_test_profiles::{Profile, alone, busy, cpu_time, read_snapshot};

const MS: Duration = Duration::from_millis(1);

busy! { computes cpu_only starves }

#[inline(never)]
fn sleeps(time: Duration) {
    let end = Instant::now() + time;
    // Whoever is woken early goes back to sleep.
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        thread::sleep(left);
    }
}

#[inline(never)]
fn waits_for_lock(lock: &Mutex<u32>) {
    *lock.lock().unwrap() += 1;
}

#[inline(never)]
fn reads(pipe: i32) {
    // SAFETY: the descriptor is the reading end, and this file's alone.
    let mut file = unsafe { std::fs::File::from_raw_fd(pipe) };
    assert_eq!(file.read(&mut [0; 8]).unwrap(), 1);
}

/// The samples of `name`, whose states are all `state`, give its time in seconds.
fn seconds(profile: &Profile, name: &str, state: &str) -> f64 {
    let samples = profile.find(&[name]);
    let of_state = samples.iter().filter(|sample| sample.text("state") == Some(state));
    let time: i64 = of_state.map(|sample| sample.value("wall")).sum();
    let all = profile.total_of("wall", &[name]);
    // At its beginning and end a thread is at something else.
    assert!(time as f64 >= 0.95 * all as f64, "{name} is {state} for {time} of {all}");
    time as f64 / 1e9
}

#[test]
#[cfg_attr(
    target_env = "musl",
    ignore = "waiting and looking at the clock are C code, through which no walk leads"
)]
fn threads_that_wait_are_there_with_their_state() {
    alone("threads_that_wait_are_there_with_their_state", || {
        let mut ends = [0; 2];
        // SAFETY: room for two descriptors.
        assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
        let lock = Mutex::new(0);
        let session = Options::new().hz(100).wall(true).thread_names(true).start().unwrap();
        let whole = thread::scope(|scope| {
            let held = lock.lock().unwrap();
            let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
                thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, run).unwrap();
            };
            spawn("sleeper", Box::new(|| sleeps(3000 * MS)));
            let lock = &lock;
            spawn("waiter", Box::new(move || waits_for_lock(lock)));
            let end = ends[0];
            spawn("reader", Box::new(move || reads(end)));
            spawn("worker", Box::new(|| computes(1000 * MS)));
            let begin = Instant::now();
            sleeps(3000 * MS);
            let whole = begin.elapsed().as_secs_f64();
            drop(held);
            // SAFETY: one byte, into the writing end.
            assert_eq!(unsafe { libc::write(ends[1], [1].as_ptr().cast(), 1) }, 1);
            whole
        });
        let snapshot = session.stop();
        let profile = read_snapshot(&snapshot);
        assert_eq!(snapshot.value_types()[1].name, "wall");
        for (name, state, thread) in [
            ("cpu_wall::sleeps", "sleep", "sleeper"),
            ("cpu_wall::waits_for_lock", "futex", "waiter"),
            ("cpu_wall::reads", "read", "reader"),
        ] {
            // The test's own thread sleeps, too.
            let threads = if thread == "sleeper" { 2.0 } else { 1.0 };
            let time = seconds(&profile, name, state) / threads;
            // 300 samples: one at either end is 1 %. A walk that starts late makes its samples heavier.
            assert!((0.85 * whole..=1.1 * whole).contains(&time), "{name}: {time} of {whole} s");
            let samples = profile.find(&[name]);
            let mut names = samples.iter().filter_map(|sample| sample.text("thread"));
            assert!(names.any(|name| name == thread), "{name}");
        }
        let worked = seconds(&profile, "cpu_wall::computes", "running");
        assert!(worked > 0.85, "{worked}");
        assert!(profile.find(&["[lost]"]).is_empty());
    });
}

/// Threads in thousands take turns: each second of each is there, and it costs a fiftieth of a processor.
#[test]
#[cfg_attr(
    target_env = "musl",
    ignore = "waiting and looking at the clock are C code, through which no walk leads"
)]
fn a_thousand_threads_take_turns() {
    alone("a_thousand_threads_take_turns", || {
        const THREADS: u32 = 1000;
        let (all, done) = (Barrier::new(THREADS as usize + 1), Barrier::new(THREADS as usize + 1));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                let small = thread::Builder::new().stack_size(64 << 10);
                small
                    .spawn_scoped(scope, || {
                        all.wait();
                        waits_for_all(&done);
                    })
                    .unwrap();
            }
            all.wait();
            thread::sleep(100 * MS);
            let (begin, before) = (Instant::now(), cpu_time());
            let session = Options::new().hz(100).wall(true).start().unwrap();
            sleeps(5000 * MS);
            let used = cpu_time() - before;
            let snapshot = session.stop();
            let whole = begin.elapsed().as_secs_f64();
            done.wait();
            let profile = read_snapshot(&snapshot);
            let time = seconds(&profile, "cpu_wall::waits_for_all", "futex") / f64::from(THREADS);
            assert!((0.9 * whole..=1.1 * whole).contains(&time), "{time} of {whole} s");
            // What we mean to use is 2 %; in a debug build and on a busy machine everything costs a little more.
            let share = used.as_secs_f64() / whole;
            assert!(share < 0.05, "{share} of a processor: {:?}", snapshot.comments());
            let said =
                snapshot.comments().iter().any(|comment| comment.contains("samples a second of each thread"));
            assert!(said, "{:?}", snapshot.comments());
        });
    });
}

#[inline(never)]
fn waits_for_all(done: &Barrier) {
    // Or the call would be a jump, and this function no caller.
    std::hint::black_box(done.wait().is_leader());
}

/// A thread that blocks the signal cannot be asked where it is; what it is at, and for how long, is known.
#[test]
fn who_does_not_answer_is_unknown() {
    alone("who_does_not_answer_is_unknown", || {
        let session = Options::new().hz(100).wall(true).thread_names(true).start().unwrap();
        let (send, receive) = mpsc::channel::<()>();
        let deaf = thread::Builder::new().name("deaf".to_owned()).spawn(move || {
            // SAFETY: the set is made by the first call.
            unsafe {
                let mut set = std::mem::zeroed();
                libc::sigfillset(&raw mut set);
                libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            }
            _ = receive.recv();
        });
        sleeps(2000 * MS);
        let profile = read_snapshot(&session.stop());
        drop(send);
        deaf.unwrap().join().unwrap();
        let unknown = profile.find(&["[unknown]"]);
        let time: i64 = unknown
            .iter()
            .filter(|sample| sample.text("thread") == Some("deaf") && sample.text("state") == Some("futex"))
            .map(|sample| sample.value("wall"))
            .sum();
        assert!((1_600_000_000..=2_200_000_000).contains(&time), "{time}");
    });
}

/// Both clocks at once: each session has its own kind of samples.
#[test]
#[cfg_attr(
    target_env = "musl",
    ignore = "waiting and looking at the clock are C code, through which no walk leads"
)]
fn sessions_of_both_kinds_share_the_sampler() {
    alone("sessions_of_both_kinds_share_the_sampler", || {
        let (wall, cpu) = (Options::new().hz(200).wall(true).start().unwrap(), at(200));
        thread::scope(|scope| {
            scope.spawn(|| cpu_only(1000 * MS));
            sleeps(1500 * MS);
        });
        let (wall, cpu) = (read_snapshot(&wall.stop()), read_snapshot(&cpu.stop()));
        let slept = |profile: &Profile, kind| profile.total_of(kind, &["cpu_wall::sleeps"]) as f64 / 1e9;
        let ran = |profile: &Profile, kind| profile.total_of(kind, &["cpu_wall::cpu_only"]) as f64 / 1e9;
        assert!((1.2..1.8).contains(&slept(&wall, "wall")), "{}", slept(&wall, "wall"));
        assert!(slept(&cpu, "cpu") < 0.1);
        assert!(ran(&wall, "wall") > 0.8);
        assert!((0.9..1.1).contains(&ran(&cpu, "cpu")), "{}", ran(&cpu, "cpu"));
        assert!(cpu.samples().iter().all(|sample| sample.text("state").is_none()));
    });
}

/// More threads than processors, asked oftener than each gets one: no time is lost that they wait for it.
#[test]
#[cfg_attr(
    target_env = "musl",
    ignore = "waiting and looking at the clock are C code, through which no walk leads"
)]
fn threads_that_wait_for_a_processor_are_running() {
    alone("threads_that_wait_for_a_processor_are_running", || {
        const THREADS: usize = 16;
        let stop = std::sync::atomic::AtomicBool::new(false);
        let begin = Instant::now();
        let session = Options::new().hz(200).wall(true).start().unwrap();
        let (profile, whole) = thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        computes(MS);
                    }
                });
            }
            sleeps(3000 * MS);
            let snapshot = session.stop();
            let whole = begin.elapsed().as_secs_f64();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            (read_snapshot(&snapshot), whole)
        });
        let time = seconds(&profile, "cpu_wall::computes", "running") / THREADS as f64;
        assert!((0.8 * whole..=1.1 * whole).contains(&time), "{time} of {whole} s");
    });
}

/// A thread that hardly gets to run is asked many times before it answers. All that time is its own, where it stands.
#[test]
#[cfg_attr(
    target_env = "musl",
    ignore = "waiting and looking at the clock are C code, through which no walk leads"
)]
fn a_thread_that_is_kept_from_running_has_all_its_time() {
    alone("a_thread_that_is_kept_from_running_has_all_its_time", || {
        let mut shares = (0.0, 0.0);
        for time in [4000 * MS, 8000 * MS] {
            let stop = std::sync::atomic::AtomicBool::new(false);
            let processors = thread::available_parallelism().unwrap().get();
            let begin = Instant::now();
            let session = Options::new().hz(200).wall(true).start().unwrap();
            let (profile, whole, used) = thread::scope(|scope| {
                let until = |run: fn(Duration)| {
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        run(MS / 10);
                    }
                };
                for _ in 0..2 * processors {
                    scope.spawn(move || until(computes));
                }
                let starved = scope.spawn(move || {
                    // SAFETY: takes numbers. On Linux this is about the calling thread alone.
                    assert_eq!(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 10) }, 0);
                    until(starves);
                    profiled_test_profiles::cpu::thread_time()
                });
                sleeps(time);
                let snapshot = session.stop();
                let whole = begin.elapsed().as_secs_f64();
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
                (read_snapshot(&snapshot), whole, starved.join().unwrap() as f64 / 1e9)
            });
            let there = profile.find(&["cpu_wall::starves"]).iter().map(|s| s.value("wall")).sum::<i64>();
            shares = (there as f64 / 1e9 / whole, used / whole);
            // What it still owes at the end is where nobody knows: a twentieth of a second here, ten where the
            // machine is busy with others.
            if shares.0 >= 0.8 {
                assert!(shares.0 <= 1.1, "{shares:?}");
                return;
            }
            eprintln!("{shares:?}");
        }
        panic!("{shares:?} of its time is there, and was it running");
    });
}
