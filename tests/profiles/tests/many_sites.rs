//! More functions than one chunk of a thread's counters has room for: nothing is lost while threads get more of them.
#![expect(unsafe_code, reason = "signals, and keys of threads")]
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use profiled::profiled;
use profiled_test_profiles::{alone, cell, read, text};

/// A module for each letter, with a module for each letter, with a function: 20 times 20.
macro_rules! functions {
    ($($letter:ident)*) => {
        functions!(@ ($($letter)*) ($($letter)*));
    };
    (@ ($($outer:ident)*) $inner:tt) => {
        $(mod $outer {
            functions!(# $inner);
        })*
        /// Calls each once.
        fn call_all() {
            $($outer::call_all();)*
        }
    };
    (# ($($inner:ident)*)) => {
        $(pub(super) mod $inner {
            #[profiled::profiled]
            #[inline(never)]
            pub(in super::super) fn many() {}
        })*
        pub(super) fn call_all() {
            $($inner::many();)*
        }
    };
}

functions! { a b c d e f g h i j k l m n o p q r s t }

const FUNCTIONS: i64 = 20 * 20;

#[test]
fn no_call_is_lost_while_threads_come_and_go() {
    alone("no_call_is_lost_while_threads_come_and_go", || {
        const ROUNDS: i64 = 20;
        let looks = AtomicU64::new(0);
        let stop = AtomicBool::new(false);
        let total = || -> i64 {
            let snapshot = profiled::lookup("functions").unwrap().snapshot();
            snapshot.samples().map(|sample| sample.values()[0]).sum()
        };
        let mut threads = 0;
        thread::scope(|scope| {
            // What was counted stays counted, at every moment: whoever grows or ends meanwhile takes nothing along.
            scope.spawn(|| {
                let mut last = 0;
                while !stop.load(Relaxed) {
                    let now = total();
                    assert!(last <= now, "{last} calls, and then {now}");
                    last = now;
                    looks.fetch_add(1, Relaxed);
                }
            });
            // Four at a time, so that threads and blocks come and go.
            while looks.load(Relaxed) < 100 || threads < 100 {
                let work = || (0..ROUNDS).for_each(|_| call_all());
                let four: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
                four.into_iter().for_each(|thread| thread.join().unwrap());
                threads += 4;
            }
            stop.store(true, Relaxed);
        });
        let functions = read("functions");
        assert_eq!(functions.total_of("calls", &["::many"]), threads * ROUNDS * FUNCTIONS);
        for name in ["a::a::many", "t::t::many", "k::c::many"] {
            assert_eq!(functions.total_of("calls", &[name]), threads * ROUNDS, "{name}");
        }
    });
}

#[profiled]
#[inline(never)]
fn interrupted() {}

/// Chunks come beneath whatever the thread was doing.
extern "C" fn grow(_: libc::c_int) {
    call_all();
}

#[test]
fn a_call_is_counted_whatever_a_handler_calls_meanwhile() {
    alone("a_call_is_counted_whatever_a_handler_calls_meanwhile", || {
        const THREADS: i64 = 200;
        // SAFETY: an all-zero action with a handler, which is a function that takes what it is given.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = grow as extern "C" fn(libc::c_int) as usize;
            action.sa_flags = libc::SA_RESTART;
            assert_eq!(libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()), 0);
        }
        // All have an id before a handler calls them.
        a::call_all();
        interrupted();
        call_all();
        let mut called = 1;
        for _ in 0..THREADS {
            let (ready, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
            called += thread::scope(|scope| {
                let thread = scope.spawn(|| {
                    let mut called = 0;
                    while !stop.load(Relaxed) {
                        interrupted();
                        called += 1;
                        if called == 1000 {
                            // SAFETY: takes nothing, cannot fail.
                            ready.store(unsafe { libc::pthread_self() } as usize, Relaxed);
                        }
                    }
                    called
                });
                while ready.load(Relaxed) == 0 {
                    thread::yield_now();
                }
                let handle = ready.load(Relaxed) as libc::pthread_t;
                // SAFETY: the thread is there until it is told to stop.
                assert_eq!(unsafe { libc::pthread_kill(handle, libc::SIGUSR1) }, 0);
                thread::sleep(Duration::from_micros(200));
                stop.store(true, Relaxed);
                thread.join().unwrap()
            });
        }
        // Counters stay where they are: what was interrupted between reading one and writing it writes the right one.
        assert_eq!(read("many_sites::interrupted").total("calls"), called);
        let functions = read("functions");
        assert_eq!(functions.total_of("calls", &["::many"]), (1 + THREADS) * FUNCTIONS + 20);
    });
}

/// Pages of this process that are in memory, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// An array of counters a thread would take 160 KB for each of these threads, in whose every page there is some site that
/// the thread calls: 48 MB. A chunk of 256 bytes for each site, and a directory, are 20 KB. What the threads take besides
/// is theirs before they call anything.
#[test]
fn a_thread_pays_for_the_sites_it_calls() {
    use profiled::__private::{FunctionSite, Name, enter};
    alone("a_thread_pays_for_the_sites_it_calls", || {
        const SITES: usize = 10_000;
        const THREADS: usize = 300;
        const EACH: usize = 50;
        let site = |_| FunctionSite::new(Name::Literal("one of many"), file!(), line!(), column!());
        let sites: &[FunctionSite] = Vec::leak((0..SITES).map(site).collect());
        let scope = |n: usize| drop(enter(&sites[n % SITES]));
        // All have an id.
        (0..SITES).for_each(scope);
        let barrier = std::sync::Barrier::new(THREADS + 1);
        thread::scope(|threads| {
            for thread in 0..THREADS {
                let barrier = &barrier;
                threads.spawn(move || {
                    scope(thread);
                    barrier.wait();
                    barrier.wait();
                    (0..EACH).for_each(|n| scope(thread + n * (SITES / EACH)));
                    barrier.wait();
                    barrier.wait();
                });
            }
            barrier.wait();
            let before = resident();
            barrier.wait();
            barrier.wait();
            let grew = resident().saturating_sub(before);
            barrier.wait();
            assert!(grew < THREADS * 40_000, "{grew} bytes for {THREADS} threads");
            // The test sees what it measures: the chunks alone are half as much.
            assert!(grew > THREADS * EACH * 200, "{grew} bytes for {THREADS} threads");
        });
    });
}

#[profiled]
#[inline(never)]
fn at_the_end(n: u32) -> u32 {
    black_box(n)
}

/// Calls by destructors of a thread's keys: the later rounds of those come after we have heard of the thread's end.
#[test]
fn what_is_called_at_the_very_end_of_a_thread_counts() {
    static KEY: AtomicU32 = AtomicU32::new(0);
    static CALLS: AtomicU32 = AtomicU32::new(0);

    fn call() {
        CALLS.fetch_add(at_the_end(1), Relaxed);
        // SAFETY: the key is there, and nobody looks behind the value.
        unsafe { libc::pthread_setspecific(KEY.load(Relaxed), std::ptr::without_provenance(1)) };
    }
    unsafe extern "C" fn again(_: *mut std::ffi::c_void) {
        call();
    }
    alone("what_is_called_at_the_very_end_of_a_thread_counts", || {
        let mut key = 0;
        // SAFETY: a proper place for the key, and a function that takes its value.
        assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(again)) }, 0);
        KEY.store(key, Relaxed);
        for thread in 1..=3 {
            thread::spawn(call).join().unwrap();
            let calls = CALLS.load(Relaxed);
            // POSIX has four rounds at the least.
            assert!(calls >= 5 * thread, "{calls} calls of {thread} threads");
            assert_eq!(cell(&text("functions", 1), "many_sites::at_the_end", "calls"), calls.to_string());
        }
    });
}
