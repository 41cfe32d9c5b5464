//! A program with handlers of its own for `fork`, which take profiled locks and call every kind of hook.
#![cfg(not(profiled_portable))]
#![expect(unsafe_code, reason = "forks")]
use std::cell::RefCell;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use profiled::profile_mutex;
use profiled::sync::{Mutex, MutexGuard};
use profiled_test_profiles::{alone, read};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

profile_mutex! {
    /// What the program guards across a fork, as allocators and loggers do.
    static CACHE: Mutex<u64> = Mutex::new(0);
}
profiled::profile! { static GUESTS = "guests"; }

/// Only in the process of the test, not in the one that starts it.
static ON: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The lock, from `before` until after.
    static HELD: RefCell<Option<MutexGuard<'static, u64>>> = const { RefCell::new(None) };
}

extern "C" fn before() {
    if ON.load(Relaxed) {
        HELD.set(CACHE.lock().ok());
        drop(black_box(Vec::<u8>::with_capacity(100)));
        GUESTS.add("before", 0).unwrap();
    }
}

extern "C" fn in_parent() {
    if ON.load(Relaxed) {
        drop(black_box(Vec::<u8>::with_capacity(200)));
        assert!(GUESTS.remove("before"));
        HELD.set(None);
    }
}

extern "C" fn in_child() {
    if ON.load(Relaxed) {
        drop(black_box(Vec::<u8>::with_capacity(300)));
        GUESTS.add("in the child", 0).unwrap();
        HELD.set(None);
    }
}

/// As early as a program can, in a constructor.
extern "C" fn install() {
    // SAFETY: the functions are static and take nothing.
    let failed = unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    assert_eq!(failed, 0);
}

#[used]
#[unsafe(link_section = ".init_array")]
static INSTALL: extern "C" fn() = install;

/// Allocations in the handlers, by what the profile says.
fn allocated() -> [i64; 3] {
    let heap = read("heap");
    ["fork::before", "fork::in_parent", "fork::in_child"]
        .map(|handler| heap.total_of("alloc_objects", &[handler]))
}

/// What the child of the fork after `forks` others finds. Gives its exit status.
fn child(forks: i64) -> i32 {
    // SAFETY: takes a number. Whoever hangs is killed, and that is seen.
    unsafe { libc::alarm(30) };
    let lived = std::panic::catch_unwind(|| {
        profiled::heap::set_rate(0);
        assert_eq!(allocated(), [forks + 1, forks, 1]);
        let guests = read("guests");
        assert_eq!(guests.total_of("guests", &["fork::in_child"]), 1);
        assert_eq!(guests.total_of("guests", &["fork::before"]), 1);
        *CACHE.lock().unwrap() += 1;
    });
    i32::from(lived.is_err())
}

#[test]
fn handlers_of_the_program_may_do_what_they_like() {
    alone("handlers_of_the_program_may_do_what_they_like", || {
        const FORKS: i64 = 20;
        profiled::heap::set_rate(1);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            // Has the program's lock, and within it takes ours, nearly all the time: whoever stopped ours before the
            // program's is free, waits for ever.
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let mut guard = CACHE.lock().unwrap();
                    GUESTS.add(*guard, 0).unwrap();
                    assert!(GUESTS.remove(*guard));
                    *guard += 1;
                }
            });
            ON.store(true, Relaxed);
            for forks in 0..FORKS {
                // SAFETY: what the child runs is under test: it has one thread, and libc's own locks in order.
                let id = unsafe { libc::fork() };
                if id == 0 {
                    let status = child(forks);
                    // SAFETY: ends the child without what the parent registered.
                    unsafe { libc::_exit(status) };
                }
                let mut status = 0;
                // SAFETY: our child, and a good pointer.
                unsafe { libc::waitpid(id, &raw mut status, 0) };
                assert_eq!(status, 0, "child {forks} ended with {status:#x}");
            }
            stop.store(true, Relaxed);
        });
        ON.store(false, Relaxed);
        profiled::heap::set_rate(0);
        assert_eq!(allocated(), [FORKS, FORKS, 0]);
        assert_eq!(read("guests").samples().len(), 0);
    });
}
