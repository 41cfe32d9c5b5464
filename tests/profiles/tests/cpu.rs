//! Profile `cpu`: sessions, what they account for, and what signals do to a program.
#![expect(unsafe_code, reason = "signals, forks, threads with stacks of their own and libraries")]
use std::ffi::{CString, c_int, c_void};
use std::hint::black_box;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use profiled::Error;
use profiled::cpu::{Options, Session};
use profiled_test_profiles::{File, Profile, alone, cpu_time, file, read, read_snapshot, stress};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

const MS: Duration = Duration::from_millis(1);

/// CPU time of this thread.
fn thread_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a good pointer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn work() {
    black_box((0..2000_u32).fold(1, |sum, n| black_box(sum ^ n)));
}

/// Functions that use so much CPU time, each under its own name.
macro_rules! busy {
    ($($name:ident)*) => {$(
        #[inline(never)]
        fn $name(time: Duration) {
            let end = thread_time() + time.as_nanos() as u64;
            while thread_time() < end {
                work();
            }
            // Bodies that differ, or one function would do for all.
            black_box(stringify!($name));
        }
    )*};
}
busy! { busy first second between after labelled unlabelled child_work short_life tiny_stack_work }

fn at(hz: u32) -> Session {
    Options::new().hz(hz).start().unwrap()
}

/// The share of the process's CPU time that `run` has in its profile. A window of two seconds at 100 Hz holds 200
/// periods, of which those at both ends are cut anywhere: 1 %. The kernel's clocks differ by as much, so 10 % are
/// only missed where something is wrong, or the machine stops us for long; then it is repeated, twice as long.
fn accounted(hz: u32, run: impl Fn(Duration)) -> Profile {
    let mut share = 0.0;
    for time in [2000 * MS, 4000 * MS, 8000 * MS] {
        let begin = Instant::now();
        let session = at(hz);
        let before = cpu_time();
        run(time);
        let used = cpu_time() - before;
        let snapshot = session.stop();
        let longest = begin.elapsed();
        let profile = read_snapshot(&snapshot);
        assert_eq!(profile.period, 1_000_000_000 / i64::from(hz));
        let duration = Duration::from_nanos(profile.duration_nanos as u64);
        assert!(duration >= time && duration <= longest, "{duration:?}");
        share = profile.total("cpu") as f64 / used.as_nanos() as f64;
        assert_eq!(profile.total("cpu"), profile.total("samples") * profile.period);
        if (0.9..=1.1).contains(&share) {
            return profile;
        }
    }
    panic!("{share} of the CPU time is accounted for, at {hz} Hz");
}

#[test]
fn one_thread_is_accounted_for() {
    alone("one_thread_is_accounted_for", || {
        for hz in [100, 1000] {
            let profile = accounted(hz, busy);
            let named = profile.total_of("cpu", &["cpu::busy"]) as f64 / profile.total("cpu") as f64;
            assert!(named >= 0.9, "{named} of it is in the function that runs");
        }
    });
}

#[test]
fn two_threads_are_accounted_for_by_name() {
    alone("two_threads_are_accounted_for_by_name", || {
        for hz in [100, 1000] {
            let profile = accounted(hz, |time| {
                thread::scope(|scope| {
                    scope.spawn(|| first(time));
                    scope.spawn(|| second(time));
                });
            });
            for name in ["cpu::first", "cpu::second"] {
                let share = profile.total_of("cpu", &[name]) as f64 / profile.total("cpu") as f64;
                // Half of it, but that the process's timer is all there is for the first tenth of a second, and gives
                // its ticks to whom it likes.
                assert!((0.4..0.6).contains(&share), "{name} has {share} at {hz} Hz");
            }
            assert_eq!(profile.find(&["cpu::first", "cpu::second"]).len(), 0);
        }
    });
}

#[test]
fn a_window_in_one_call() {
    alone("a_window_in_one_call", || {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    busy(MS);
                }
            });
            let snapshot = profiled::cpu::profile(500 * MS).unwrap();
            stop.store(true, Relaxed);
            assert!(snapshot.duration().unwrap() >= 500 * MS);
            let profile = read_snapshot(&snapshot);
            assert!(profile.total_of("samples", &["cpu::busy"]) > 0);
            let mut bytes = Vec::new();
            snapshot.write(&mut bytes, profiled::Format::Pprof).unwrap();
            let top = File::new("window", &bytes).top("cpu", "ns");
            assert!(top.iter().any(|(name, _, sum)| name == "cpu::busy" && *sum > 0.0), "{top:?}");
        });
    });
}

#[test]
fn overlapping_sessions_have_their_own_windows() {
    alone("overlapping_sessions_have_their_own_windows", || {
        let share = |profile: &Profile, used: Duration| {
            let share = profile.total("cpu") as f64 / used.as_nanos() as f64;
            assert!((0.85..=1.15).contains(&share), "{share}");
        };
        // 50 and 100 periods at the slower rate; each end is off by up to one.
        let (one, begin) = (at(50), cpu_time());
        first(1000 * MS);
        let (two, middle) = (at(500), cpu_time());
        between(1000 * MS);
        let (one, used_by_one) = (read_snapshot(&one.stop()), cpu_time() - begin);
        second(1000 * MS);
        let (two, used_by_two) = (read_snapshot(&two.stop()), cpu_time() - middle);
        assert_eq!((one.period, two.period), (20_000_000, 2_000_000));
        share(&one, used_by_one);
        share(&two, used_by_two);
        let seen = |profile: &Profile| {
            ["cpu::first", "cpu::between", "cpu::second"].map(|name| profile.total_of("samples", &[name]) > 0)
        };
        assert_eq!((seen(&one), seen(&two)), ([true, true, false], [false, true, true]));
    });
}

#[test]
fn labels_are_in_the_samples_of_their_scope() {
    alone("labels_are_in_the_samples_of_their_scope", || {
        #[profiled::profiled(name = "request")]
        fn request() {
            profiled::labels! { "route" => "/cart", "try" => 2 }
            labelled(500 * MS);
        }
        let session = at(250);
        request();
        unlabelled(500 * MS);
        let profile = read_snapshot(&session.stop());
        let (with, without) = (profile.find(&["cpu::labelled"]), profile.find(&["cpu::unlabelled"]));
        assert!(!with.is_empty() && !without.is_empty());
        for sample in with {
            assert_eq!((sample.text("route"), sample.text("try")), (Some("/cart"), Some("2")));
            assert_eq!(sample.text("profiled"), Some("request"));
        }
        assert!(without.iter().all(|sample| sample.labels.is_empty()));
    });
}

#[test]
fn continuous_sampling_grows_and_its_difference_is_a_window() {
    alone("continuous_sampling_grows_and_its_difference_is_a_window", || {
        assert_eq!(read("cpu").total("samples"), 0);
        assert_eq!(profiled::cpu::set_continuous(19).unwrap(), 0);
        let cpu = profiled::lookup("cpu").unwrap();
        first(1500 * MS);
        let early = cpu.snapshot();
        // 28 periods: none at all would be a miracle.
        assert!(read_snapshot(&early).total_of("samples", &["cpu::first"]) >= 10);
        second(1500 * MS);
        let late = cpu.snapshot();
        let (a, b) = (read_snapshot(&early), read_snapshot(&late));
        assert!(b.total("samples") >= a.total("samples") + 10);
        assert_eq!(b.total_of("samples", &["cpu::first"]), a.total_of("samples", &["cpu::first"]));
        let window = late.delta(&early).unwrap();
        assert!(window.duration().unwrap() >= 1500 * MS);
        let window = read_snapshot(&window);
        assert_eq!(window.total("samples"), b.total("samples") - a.total("samples"));
        assert_eq!(window.total_of("samples", &["cpu::first"]), 0);
        assert!(window.total_of("samples", &["cpu::second"]) >= 10);
        assert_eq!(profiled::cpu::set_continuous(0).unwrap(), 19);
        assert!(read("cpu").samples().is_empty());
    });
}

#[test]
fn rates_out_of_range_are_named() {
    for hz in [0, 5000] {
        let error = Options::new().hz(hz).start().unwrap_err();
        assert!(
            matches!(&error, Error::Invalid { what: "hz", value } if *value == hz.to_string()),
            "{error:?}"
        );
        assert!(error.to_string().contains(&hz.to_string()), "{error}");
    }
    assert!(matches!(profiled::cpu::set_continuous(5000), Err(Error::Invalid { .. })));
}

static CALLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn plain_handler(_: c_int) {
    CALLED.fetch_add(1, Relaxed);
}

extern "C" fn handler_with_info(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel's own.
    CALLED.fetch_add(usize::from(unsafe { (*info).si_code } == libc::SI_USER), Relaxed);
}

fn install(handler: usize, flags: c_int) {
    // SAFETY: all-zero is a valid action; the handlers only count.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags | libc::SA_RESTART;
        assert_eq!(libc::sigaction(libc::SIGPROF, &raw const action, null_mut()), 0);
    }
}

/// Sends the program's own `SIGPROF` among ours, and sees that the program's handler gets them all and no other.
fn own_signals_arrive() {
    let session = at(1000);
    for n in 1..=50 {
        // SAFETY: takes two numbers.
        unsafe { libc::kill(libc::getpid(), libc::SIGPROF) };
        let end = Instant::now() + 5000 * MS;
        while CALLED.load(Relaxed) < n && Instant::now() < end {
            busy(MS);
        }
        assert_eq!(CALLED.load(Relaxed), n);
    }
    busy(300 * MS);
    let profile = read_snapshot(&session.stop());
    assert_eq!(CALLED.load(Relaxed), 50, "timers are not the program's");
    assert!(profile.total_of("samples", &["cpu::busy"]) >= 100);
    // SAFETY: takes two numbers.
    unsafe { libc::kill(libc::getpid(), libc::SIGPROF) };
    thread::sleep(50 * MS);
    assert_eq!(CALLED.load(Relaxed), 51, "also when nothing is sampled");
}

#[test]
fn a_handler_that_was_there_before_goes_on() {
    alone("a_handler_that_was_there_before_goes_on", || {
        install(plain_handler as *const () as usize, 0);
        own_signals_arrive();
    });
}

#[test]
fn so_does_one_that_takes_information() {
    alone("so_does_one_that_takes_information", || {
        install(handler_with_info as *const () as usize, libc::SA_SIGINFO);
        own_signals_arrive();
    });
}

#[test]
fn no_late_signal_kills() {
    alone("no_late_signal_kills", || {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(Relaxed) {
                        busy(MS);
                    }
                });
            }
            let mut samples = 0;
            for n in 0..1000 {
                let session = at([4000, 1000, 100][n % 3]);
                busy(Duration::from_micros(500));
                match n % 2 {
                    0 => samples += session.stop().samples().map(|sample| sample.values()[0]).sum::<i64>(),
                    _ => drop(session),
                }
            }
            assert!(samples > 0);
            let session = at(1000);
            busy(300 * MS);
            stop.store(true, Relaxed);
            assert!(read_snapshot(&session.stop()).total_of("samples", &["cpu::busy"]) > 100);
        });
    });
}

#[inline(never)]
fn child_allocates() -> Vec<Vec<u8>> {
    (0..100).map(|_| Vec::with_capacity(10_007)).collect()
}

/// What a forked child does. Gives its exit status.
fn child() -> i32 {
    // SAFETY: takes a number. Whoever hangs is killed, and that is seen.
    unsafe { libc::alarm(30) };
    let lived = std::panic::catch_unwind(|| {
        profiled::heap::set_rate(1);
        let blocks = child_allocates();
        profiled::heap::set_rate(0);
        let heap = Profile::read(&file("heap"));
        let found = heap.total_of("inuse_space", &["cpu::child_allocates"]);
        assert!(found >= 100 * 10_007, "{found}");
        drop(blocks);
        let session = at(1000);
        child_work(200 * MS);
        let profile = read_snapshot(&session.stop());
        assert!(profile.total_of("samples", &["cpu::child_work"]) > 10);
        assert_eq!(profile.find(&["cpu::busy"]).len(), 0, "the parent's samples are the parent's");
        // And threads of its own.
        thread::spawn(|| child_work(MS)).join().unwrap();
    });
    i32::from(lived.is_err())
}

#[test]
fn a_forked_child_is_a_program_like_any_other() {
    alone("a_forked_child_is_a_program_like_any_other", || {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            // One computes, one allocates, one reads: the fork comes at any moment.
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    busy(MS);
                }
            });
            scope.spawn(|| {
                profiled::heap::set_rate(1000);
                while !stop.load(Relaxed) {
                    drop(black_box(vec![0_u8; 3000]));
                }
            });
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    drop(profiled::lookup("heap").unwrap().snapshot());
                }
            });
            let session = at(1000);
            let failures = (0..8).filter(|_| {
                // SAFETY: what the child runs is under test: it has one thread, and libc's own locks in order.
                let id = unsafe { libc::fork() };
                if id == 0 {
                    let status = child();
                    // SAFETY: ends the child without what the parent registered.
                    unsafe { libc::_exit(status) };
                }
                let mut status = 0;
                // SAFETY: our child, and a good pointer.
                unsafe { libc::waitpid(id, &raw mut status, 0) };
                if status != 0 {
                    eprintln!("a child ended with {status:#x}");
                }
                status != 0
            });
            let failures = failures.count();
            stop.store(true, Relaxed);
            let profile = read_snapshot(&session.stop());
            assert!(profile.total_of("samples", &["cpu::busy"]) > 0, "the parent's session goes on");
            assert_eq!(profile.find(&["cpu::child_work"]).len(), 0);
            assert_eq!(failures, 0);
        });
    });
}

#[test]
fn other_programs_start_while_sampling() {
    alone("other_programs_start_while_sampling", || {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    busy(MS);
                }
            });
            let session = at(1000);
            for n in 0..50 {
                // It computes for a while: a timer that survived would kill it.
                let mut command = Command::new("sh");
                command.args(["-c", "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done"]);
                if n % 2 == 1 {
                    // SAFETY: does nothing; with it the library forks, without it it has the kernel spawn.
                    unsafe { command.pre_exec(|| Ok(())) };
                }
                let status = command.status().unwrap();
                assert!(status.success(), "{status}");
            }
            stop.store(true, Relaxed);
            assert!(read_snapshot(&session.stop()).total_of("samples", &["cpu::busy"]) > 0);
        });
    });
}

#[test]
fn a_program_may_become_another_while_sampling() {
    alone("a_program_may_become_another_while_sampling", || {
        for _ in 0..20 {
            // SAFETY: the child has one thread, and soon another program.
            let id = unsafe { libc::fork() };
            if id == 0 {
                let session = at(4000);
                child_work(20 * MS);
                // It computes for a while, without a handler: a timer that survived would kill it.
                let error = Command::new("sh")
                    .args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"])
                    .exec();
                eprintln!("{error}");
                drop(session);
                // SAFETY: ends the child without what the parent registered.
                unsafe { libc::_exit(1) };
            }
            let mut status = 0;
            // SAFETY: our child, and a good pointer.
            unsafe { libc::waitpid(id, &raw mut status, 0) };
            assert_eq!(status, 0, "the other program ended with {status:#x}");
        }
    });
}

extern "C" fn tiny_stack(_: *mut c_void) -> *mut c_void {
    tiny_stack_work(300 * MS);
    null_mut()
}

#[test]
fn threads_with_tiny_stacks_are_sampled() {
    alone("threads_with_tiny_stacks_are_sampled", || {
        let session = at(1000);
        let mut threads = [0; 8];
        // SAFETY: good pointers; the threads are joined.
        unsafe {
            let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
            assert_eq!(libc::pthread_attr_init(&raw mut attributes), 0);
            assert_eq!(libc::pthread_attr_setstacksize(&raw mut attributes, 16 << 10), 0);
            for thread in &mut threads {
                assert_eq!(libc::pthread_create(thread, &raw const attributes, tiny_stack, null_mut()), 0);
            }
            for thread in threads {
                libc::pthread_join(thread, null_mut());
            }
        }
        let profile = read_snapshot(&session.stop());
        let found = profile.find(&["cpu::tiny_stack_work", "cpu::tiny_stack"]);
        assert!(found.iter().map(|sample| sample.value("samples")).sum::<i64>() > 30);
    });
}

#[test]
fn short_threads_are_accounted_for() {
    alone("short_threads_are_accounted_for", || {
        let mut share = 0.0;
        for threads in [1000, 2000, 4000] {
            let session = at(1000);
            let used = AtomicU64::new(0);
            for _ in 0..threads {
                thread::scope(|scope| {
                    scope.spawn(|| {
                        short_life(2 * MS);
                        used.fetch_add(thread_time(), Relaxed);
                    });
                });
            }
            let profile = read_snapshot(&session.stop());
            // The kernel looks at its tick, 4 ms or less: 500 looks in two seconds, each right or wrong, are good to
            // 1/sqrt(500), of which four make 18 %.
            share = profile.total_of("cpu", &["cpu::short_life"]) as f64 / used.into_inner() as f64;
            if (0.82..=1.18).contains(&share) {
                return;
            }
        }
        panic!("{share} of their time is there");
    });
}

#[test]
fn libraries_come_and_go_while_sampling() {
    alone("libraries_come_and_go_while_sampling", || {
        let name = format!("profiled-{}-visitor", std::process::id());
        let [source, library] = ["c", "so"].map(|end| std::env::temp_dir().join(format!("{name}.{end}")));
        let code =
            "long spin(long n) { volatile long sum = 0; for (long i = 0; i < n; i++) sum += i; return sum; }";
        std::fs::write(&source, code).unwrap();
        let cc =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).status();
        assert!(cc.unwrap().success());
        let path = CString::new(library.to_str().unwrap()).unwrap();
        let visit = || {
            // SAFETY: the library is the one above, and is closed when nothing of it runs.
            unsafe {
                let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
                assert!(!handle.is_null());
                let spin = libc::dlsym(handle, c"spin".as_ptr());
                assert!(!spin.is_null());
                let spin: extern "C" fn(i64) -> i64 = std::mem::transmute(spin);
                assert_eq!(spin(100_000), 4_999_950_000);
                libc::dlclose(handle);
            }
        };
        profiled::heap::set_rate(1000);
        let session = at(1000);
        let (end, visits) = (Instant::now() + stress(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while Instant::now() < end {
                        visit();
                        busy(MS);
                        visits.fetch_add(1, Relaxed);
                    }
                });
            }
            while Instant::now() < end {
                drop(profiled::lookup("heap").unwrap().snapshot());
                after(MS);
            }
        });
        profiled::heap::set_rate(0);
        let profile = read_snapshot(&session.stop());
        assert!(visits.into_inner() > 50);
        for name in ["cpu::busy", "cpu::after"] {
            assert!(profile.total_of("samples", &[name]) > 0, "{name}");
        }
        assert!(read("heap").total("alloc_objects") > 0);
        // A library that stays is named.
        // SAFETY: as above; it is never closed.
        unsafe {
            let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
            let spin: extern "C" fn(i64) -> i64 = std::mem::transmute(libc::dlsym(handle, c"spin".as_ptr()));
            let session = at(1000);
            let end = Instant::now() + 2500 * MS;
            while Instant::now() < end {
                black_box(spin(1_000_000));
            }
            let profile = read_snapshot(&session.stop());
            let named = profile.total_of("cpu", &["spin"]) as f64 / profile.total("cpu") as f64;
            assert!(named > 0.5, "{named} of the time is in `spin`");
            let path = library.to_str().unwrap();
            assert!(profile.mappings.iter().any(|(file, _)| file == path), "{:?}", profile.mappings);
        }
        for file in [source, library] {
            std::fs::remove_file(file).unwrap();
        }
    });
}
