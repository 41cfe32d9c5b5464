//! The profile `threadcreate` of the whole process: every thread that `pthread_create` made, C's too, at its creator's
//! stack.
#![expect(unsafe_code, reason = "threads of C")]
use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use profiled_test_interpose::{File, Profile, alone, read, text};

const VALUE: &str = "threadcreate";

fn of(profile: &Profile, name: &str) -> i64 {
    profile.total_of(VALUE, &[name])
}

fn settled(name: &str, count: i64) -> Profile {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let profile = read(VALUE);
        if of(&profile, name) == count {
            return profile;
        }
        assert!(
            Instant::now() < end,
            "{} of {name}, and not {count}:\n{}",
            of(&profile, name),
            text(VALUE, 1)
        );
        thread::sleep(Duration::from_millis(1));
    }
}

fn threads_of_the_process() -> i64 {
    std::fs::read_dir("/proc/self/task").unwrap().count() as i64
}

/// Two at which each thread stops: when all are there, and when they may end.
type Gates = Arc<[Barrier; 2]>;

fn gates(threads: usize) -> Gates {
    Arc::new([Barrier::new(threads + 1), Barrier::new(threads + 1)])
}

#[inline(never)]
fn of_std(gates: &Gates) -> thread::JoinHandle<()> {
    let gates = Arc::clone(gates);
    let handle = thread::spawn(move || gates.iter().for_each(|gate| _ = gate.wait()));
    std::hint::black_box(handle)
}

#[inline(never)]
fn of_ours(gates: &Gates) -> thread::JoinHandle<()> {
    let gates = Arc::clone(gates);
    let builder = profiled::thread::Builder::new().name("of-ours".to_owned());
    let handle = builder.spawn(move || gates.iter().for_each(|gate| _ = gate.wait())).unwrap();
    std::hint::black_box(handle)
}

extern "C" fn waits(gates: *mut c_void) -> *mut c_void {
    // SAFETY: what `of_c` was given, which outlives the thread.
    let gates = unsafe { &*gates.cast::<[Barrier; 2]>() };
    gates.iter().for_each(|gate| _ = gate.wait());
    gates.as_ptr().cast_mut().cast()
}

#[inline(never)]
fn of_c(gates: &Gates) -> libc::pthread_t {
    let mut thread = 0;
    let argument = Arc::as_ptr(gates).cast_mut().cast();
    // SAFETY: whoever calls this joins the thread and has the gates until then.
    assert_eq!(unsafe { libc::pthread_create(&raw mut thread, null(), waits, argument) }, 0);
    std::hint::black_box(thread)
}

fn join(thread: libc::pthread_t) -> *mut c_void {
    let mut result = null_mut();
    // SAFETY: a thread of `of_c`'s that was not joined.
    assert_eq!(unsafe { libc::pthread_join(thread, &raw mut result) }, 0);
    result
}

#[test]
fn every_thread_is_known_with_the_stack_that_started_it() {
    alone("every_thread_is_known_with_the_stack_that_started_it", || {
        let gates = gates(3 + 2 + 4);
        let rust: Vec<_> = (0..3).map(|_| of_std(&gates)).chain((0..2).map(|_| of_ours(&gates))).collect();
        let c: Vec<_> = (0..4).map(|_| of_c(&gates)).collect();
        gates[0].wait();
        let file = profiled_test_interpose::file(VALUE);
        let profile = Profile::read(&file);
        assert_eq!(
            ["of_std", "of_ours", "of_c"].map(|name| of(&profile, name)),
            [3, 2, 4],
            "{}",
            text(VALUE, 1)
        );
        // The main thread's creator nobody knows; the harness's thread, which runs this, the main thread started.
        assert_eq!(of(&profile, "[unknown creator]"), 1);
        assert_eq!(profile.total(VALUE), threads_of_the_process());
        // What `pprof -top` calls flat is whoever started them.
        let top = File::new("threadcreate", &file).top(VALUE, "count");
        let flat = |name: &str| -> f64 {
            let rows = top.iter().filter(|(function, ..)| function.ends_with(&format!("::{name}")));
            rows.map(|(_, flat, _)| flat).sum()
        };
        assert_eq!(["of_std", "of_ours", "of_c"].map(flat), [3.0, 2.0, 4.0], "{top:?}");
        // A dump says so of each.
        let full = text("threads", 2);
        for (name, count) in [("of_std", 3), ("of_ours", 2), ("of_c", 4)] {
            assert_eq!(full.matches(&format!("created by threads::{name}\n\t")).count(), count, "{full}");
        }
        gates[1].wait();
        rust.into_iter().for_each(|thread| thread.join().unwrap());
        for thread in c {
            assert_eq!(join(thread).cast_const().cast(), gates.as_ptr(), "its function's result");
        }
        for name in ["of_std", "of_ours", "of_c"] {
            settled(name, 0);
        }
    });
}

/// What a thread gets is what it was started with: each its own.
#[test]
fn many_at_a_time_do_what_they_are_to_do() {
    static SUM: AtomicU32 = AtomicU32::new(0);
    extern "C" fn adds(n: *mut c_void) -> *mut c_void {
        SUM.fetch_add(n.addr() as u32, SeqCst);
        n
    }
    alone("many_at_a_time_do_what_they_are_to_do", || {
        thread::scope(|scope| {
            for starter in 0..4_usize {
                scope.spawn(move || {
                    for turn in 0..25 {
                        let mut threads = [0; 10];
                        for (n, thread) in threads.iter_mut().enumerate() {
                            let argument =
                                std::ptr::without_provenance_mut(1 + starter * 1000 + turn * 10 + n);
                            // SAFETY: the function touches a static only.
                            let made = unsafe { libc::pthread_create(thread, null(), adds, argument) };
                            assert_eq!(made, 0);
                        }
                        for (n, thread) in threads.into_iter().enumerate() {
                            assert_eq!(join(thread).addr(), 1 + starter * 1000 + turn * 10 + n);
                        }
                    }
                });
            }
        });
        let expected: usize =
            (0..4).map(|starter| (0..250).map(|n| 1 + starter * 1000 + n).sum::<usize>()).sum();
        assert_eq!(SUM.load(SeqCst) as usize, expected);
        // A thousand that are gone have no row.
        settled("many_at_a_time_do_what_they_are_to_do::{{closure}}", 0);
        let profile = read(VALUE);
        assert_eq!(profile.total(VALUE), threads_of_the_process(), "{}", text(VALUE, 1));
        assert_eq!(of(&profile, "[unknown creator]"), 1);
    });
}

/// Whoever starts a thread that itself starts one; and the stack of a thread has no frame of ours where it begins.
#[test]
fn a_thread_begins_where_libc_has_it_begin() {
    static STACK: AtomicBool = AtomicBool::new(false);
    extern "C" fn walks(_: *mut c_void) -> *mut c_void {
        let full = text("threads", 2);
        let own = full.split("\n\n").next().unwrap_or_default();
        // The innermost part of the stack is ours, as we are asked; what is below `walks` is libc's.
        let below = own.split("threads::a_thread_begins_where_libc_has_it_begin::walks").nth(1);
        STACK.store(below.is_some_and(|below| !below.contains("profiled::")), SeqCst);
        null_mut()
    }
    alone("a_thread_begins_where_libc_has_it_begin", || {
        let mut thread = 0;
        // SAFETY: the function touches a static only.
        assert_eq!(unsafe { libc::pthread_create(&raw mut thread, null(), walks, null_mut()) }, 0);
        join(thread);
        assert!(STACK.load(SeqCst));
    });
}

/// A thread may be ended from within, by `pthread_exit` and by cancellation: both unwind its stack to its beginning.
#[test]
fn threads_that_unwind_to_their_beginning_end() {
    unsafe extern "C-unwind" {
        fn pthread_exit(value: *mut c_void) -> !;
    }
    unsafe extern "C" {
        fn pthread_cancel(thread: libc::pthread_t) -> i32;
    }
    extern "C-unwind" fn exits(_: *mut c_void) -> *mut c_void {
        // SAFETY: no frame between here and the thread's beginning has anything to clean up.
        unsafe { pthread_exit(std::ptr::without_provenance_mut(77)) }
    }
    extern "C-unwind" fn sleeps(_: *mut c_void) -> *mut c_void {
        loop {
            // SAFETY: a system call, in which the thread may be cancelled.
            unsafe {
                unsafe extern "C-unwind" {
                    fn pause() -> i32;
                }
                pause();
            }
        }
    }
    type Start = extern "C" fn(*mut c_void) -> *mut c_void;
    alone("threads_that_unwind_to_their_beginning_end", || {
        // SAFETY: two functions of this type, but for how they may be left.
        let (exits, sleeps) = unsafe {
            (
                std::mem::transmute::<*const (), Start>(exits as *const ()),
                std::mem::transmute::<*const (), Start>(sleeps as *const ()),
            )
        };
        let start = |function: Start| {
            let mut thread = 0;
            // SAFETY: functions that touch nothing.
            assert_eq!(unsafe { libc::pthread_create(&raw mut thread, null(), function, null_mut()) }, 0);
            thread
        };
        assert_eq!(join(start(exits)).addr(), 77);
        let sleeping = start(sleeps);
        settled("threads_that_unwind_to_their_beginning_end", 1);
        // SAFETY: it is there until it is joined.
        assert_eq!(unsafe { pthread_cancel(sleeping) }, 0);
        assert_eq!(join(sleeping) as isize, -1, "PTHREAD_CANCELED");
        settled("threads_that_unwind_to_their_beginning_end", 0);
    });
}
