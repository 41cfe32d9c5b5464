//! More functions than a thread's first block of counters has room for: nothing is lost while blocks grow.
#![expect(unsafe_code, reason = "signals")]
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use profiled::profiled;
use profiled_test_profiles::{alone, read};

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
fn no_call_is_lost_while_blocks_grow() {
    alone("no_call_is_lost_while_blocks_grow", || {
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

/// The block grows beneath whatever the thread was doing.
extern "C" fn grow(_: libc::c_int) {
    call_all();
}

#[test]
fn an_outgrown_block_is_nobody_elses() {
    alone("an_outgrown_block_is_nobody_elses", || {
        const THREADS: i64 = 200;
        // SAFETY: an all-zero action with a handler, which is a function that takes what it is given.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = grow as extern "C" fn(libc::c_int) as usize;
            action.sa_flags = libc::SA_RESTART;
            assert_eq!(libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()), 0);
        }
        // One of the first ids: every block has room for it. All have one before a handler calls them.
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
        // A call that was interrupted between reading its counter and writing it may have written to the block that
        // was outgrown meanwhile: each thread loses one call at the most. Nothing is ever counted that was not called.
        let counted = read("many_sites::interrupted").total("calls");
        assert!((called - THREADS..=called).contains(&counted), "{counted} counted of {called} calls");
        let functions = read("functions");
        assert_eq!(functions.total_of("calls", &["::many"]), (1 + THREADS) * FUNCTIONS + 20);
    });
}
