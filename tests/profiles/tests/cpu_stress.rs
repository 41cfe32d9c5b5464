//! CPU sampling under what a program may legally do: each of these would hang or crash a naive profiler.
#![cfg(not(profiled_portable))]
#![expect(unsafe_code, reason = "signals and system calls")]
use std::cell::RefCell;
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use profiled::cpu::Session;
use profiled_test_profiles::cpu::at;
use profiled_test_profiles::{alone, busy, cpu_time, file, read_snapshot, stress};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

const MS: Duration = Duration::from_millis(1);

busy! { busy short_life deep_work lively }

/// Set in the process that a test starts to see how it ends.
const ENDING: &str = "PROFILED_TEST_ENDING";

/// Runs `case` in a process that is expected to end in its own way, and gives that, and what it said.
fn ending(test: &str, case: impl FnOnce()) -> Option<(std::process::ExitStatus, String)> {
    if std::env::var_os(ENDING).is_some() {
        // SAFETY: takes a number. What hangs is killed by `SIGALRM`.
        unsafe { libc::alarm(60) };
        case();
        std::process::exit(99);
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(ENDING, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Some((output.status, String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// As many threads of 200 us as the time allows; with `PROFILED_STRESS_SECONDS` of 60 or more, at least 100 000.
#[test]
fn threads_by_the_hundred_thousand() {
    alone("threads_by_the_hundred_thousand", || {
        let session = at(1000);
        let (end, count) = (Instant::now() + stress(), AtomicUsize::new(0));
        let enough = if stress() >= Duration::from_secs(60) { 100_000 } else { 0 };
        let before = cpu_time();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while Instant::now() < end || count.load(Relaxed) < enough {
                        thread::spawn(|| short_life(MS / 5)).join().unwrap();
                        count.fetch_add(1, Relaxed);
                    }
                });
            }
        });
        let used = cpu_time() - before;
        let profile = read_snapshot(&session.stop());
        assert!(count.load(Relaxed) >= enough.max(100));
        let share = profile.total("cpu") as f64 / used.as_nanos() as f64;
        // What is lost is the last tick of the four threads that stay, and whatever the kernel drops when a thread
        // ends between its tick and its signal.
        assert!((0.85..=1.1).contains(&share), "{share} of {used:?} in {} threads", count.load(Relaxed));
    });
}

#[test]
fn a_thousand_live_threads() {
    alone("a_thousand_live_threads", || {
        let (start, stop) = (Barrier::new(1001), AtomicBool::new(false));
        let session = at(1000);
        thread::scope(|scope| {
            for _ in 0..1000 {
                let thread = thread::Builder::new().stack_size(64 << 10);
                thread
                    .spawn_scoped(scope, || {
                        start.wait();
                        while !stop.load(Relaxed) {
                            lively(MS);
                            thread::sleep(20 * MS);
                        }
                    })
                    .unwrap();
            }
            start.wait();
            thread::sleep(stress());
            stop.store(true, Relaxed);
        });
        let profile = read_snapshot(&session.stop());
        let named = profile.total_of("cpu", &["cpu_stress::lively"]) as f64 / profile.total("cpu") as f64;
        assert!(named > 0.5, "{named}");
    });
}

#[inline(never)]
fn descend(depth: usize) -> usize {
    if depth == 0 {
        deep_work(500 * MS);
        return 0;
    }
    black_box(descend(black_box(depth - 1))) + 1
}

#[test]
fn a_hundred_thousand_frames_are_cut_visibly() {
    alone("a_hundred_thousand_frames_are_cut_visibly", || {
        let session = at(1000);
        let deep = thread::Builder::new().stack_size(256 << 20).spawn(|| descend(100_000)).unwrap();
        assert_eq!(deep.join().unwrap(), 100_000);
        let profile = read_snapshot(&session.stop());
        let found = profile.find(&["cpu_stress::deep_work", "cpu_stress::descend"]);
        assert!(!found.is_empty());
        for sample in found {
            assert_eq!(sample.frames.last().unwrap().name, "[truncated]");
        }
    });
}

#[expect(unconditional_recursion, reason = "on purpose")]
#[inline(never)]
fn overflow(n: u64) -> u64 {
    let space = black_box([n; 64]);
    overflow(n + 1) + space[0]
}

/// The library's own handler runs on the 8 KiB stack that it gives each thread, and so does ours: both at once, and
/// the program ends as it always would.
#[test]
fn a_stack_overflow_is_reported_as_ever() {
    let case = || {
        let session = at(4000);
        // Ours runs on that stack first.
        busy(200 * MS);
        let thread = thread::Builder::new().name("deep".to_owned()).stack_size(1 << 20);
        _ = thread.spawn(|| overflow(0)).unwrap().join();
        drop(session);
    };
    let (status, said) = ending("a_stack_overflow_is_reported_as_ever", case).unwrap();
    assert_eq!(status.signal(), Some(libc::SIGABRT), "{status} {said}");
    assert!(said.contains("has overflowed its stack"), "{said}");
}

#[test]
fn panics_unwind_through_sampled_frames() {
    alone("panics_unwind_through_sampled_frames", || {
        #[inline(never)]
        fn unwinds(depth: u32) {
            struct Guard;
            impl Drop for Guard {
                fn drop(&mut self) {
                    busy(MS / 100);
                }
            }
            let _guard = Guard;
            if depth == 0 {
                std::panic::resume_unwind(Box::new(7_u32));
            }
            unwinds(black_box(depth - 1));
        }
        let session = at(4000);
        let end = Instant::now() + stress();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while Instant::now() < end {
                        let caught = std::panic::catch_unwind(|| unwinds(40)).unwrap_err();
                        assert_eq!(*caught.downcast::<u32>().unwrap(), 7);
                    }
                });
            }
        });
        let profile = read_snapshot(&session.stop());
        assert!(profile.total_of("samples", &["unwinds"]) > 0);
    });
}

#[test]
fn ten_thousand_sessions() {
    alone("ten_thousand_sessions", || {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    busy(MS);
                }
            });
            for n in 0..10_000 {
                let session = at([4000, 1000, 100][n % 3]);
                if n % 2 == 0 {
                    drop(session);
                } else {
                    drop(session.stop());
                }
            }
            let session = at(1000);
            busy(300 * MS);
            stop.store(true, Relaxed);
            let profile = read_snapshot(&session.stop());
            assert!(profile.total_of("samples", &["cpu_stress::busy"]) > 100);
        });
    });
}

#[test]
fn a_session_may_end_with_its_thread() {
    alone("a_session_may_end_with_its_thread", || {
        thread_local! {
            static KEPT: RefCell<Option<Session>> = const { RefCell::new(None) };
        }
        for _ in 0..50 {
            thread::spawn(|| {
                KEPT.with(|kept| *kept.borrow_mut() = Some(at(1000)));
                busy(5 * MS);
            })
            .join()
            .unwrap();
        }
        let session = at(1000);
        busy(100 * MS);
        assert!(read_snapshot(&session.stop()).total_of("samples", &["cpu_stress::busy"]) > 30);
    });
}

#[test]
fn a_program_may_exit_while_it_is_sampled() {
    let case = || {
        let session = at(4000);
        for _ in 0..3 {
            thread::spawn(|| {
                loop {
                    busy(MS);
                    drop(black_box(vec![0_u8; 5000]));
                }
            });
        }
        busy(30 * MS);
        std::mem::forget(session);
        std::process::exit(17);
    };
    for _ in 0..20 {
        let (status, said) = ending("a_program_may_exit_while_it_is_sampled", case).unwrap();
        assert_eq!(status.code(), Some(17), "{status} {said}");
    }
}

/// The handler interrupts the allocator, and our own hook in it, wherever it can.
#[test]
fn allocation_is_interrupted_anywhere() {
    alone("allocation_is_interrupted_anywhere", || {
        #[inline(never)]
        fn allocates(end: Instant) {
            let mut kept = Vec::new();
            while Instant::now() < end {
                for size in 1..200 {
                    kept.push(black_box(vec![1_u8; size * 7]));
                }
                kept.truncate(black_box(50));
                kept.shrink_to_fit();
            }
        }
        profiled::heap::set_rate(512);
        let session = at(4000);
        let end = Instant::now() + stress();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| allocates(end));
            }
            while Instant::now() < end {
                drop(profiled::lookup("heap").unwrap().snapshot());
                thread::sleep(5 * MS);
            }
        });
        profiled::heap::set_rate(0);
        let profile = read_snapshot(&session.stop());
        assert!(profile.total_of("samples", &["allocates"]) > 100);
        let heap = profiled_test_profiles::Profile::read(&file("heap"));
        assert!(heap.total_of("alloc_objects", &["allocates"]) > 1000);
    });
}

#[test]
fn backtraces_of_the_standard_library_are_taken_meanwhile() {
    alone("backtraces_of_the_standard_library_are_taken_meanwhile", || {
        #[inline(never)]
        fn looks_back() -> usize {
            // Symbolized, which takes locks and memory.
            std::backtrace::Backtrace::force_capture().to_string().len()
        }
        let session = at(4000);
        let end = Instant::now() + stress();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while Instant::now() < end {
                        assert!(looks_back() > 100);
                    }
                });
            }
        });
        assert!(read_snapshot(&session.stop()).total_of("samples", &["looks_back"]) > 50);
    });
}
