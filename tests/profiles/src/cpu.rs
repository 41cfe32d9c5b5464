//! CPU time: functions that use it, and clocks that count it.
use std::hint::black_box;

use profiled::cpu::{Options, Session};

/// CPU time of this thread.
#[expect(unsafe_code, reason = "a system call")]
pub fn thread_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a good pointer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Processors that this process may run on.
///
/// # Panics
/// If the kernel does not say.
#[expect(unsafe_code, reason = "a system call")]
pub fn processors() -> Vec<usize> {
    // SAFETY: all-zero is an empty set, which the call fills.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        assert_eq!(libc::sched_getaffinity(0, size_of_val(&set), &raw mut set), 0);
        set
    };
    // SAFETY: looks into the set.
    (0..libc::CPU_SETSIZE as usize).filter(|&at| unsafe { libc::CPU_ISSET(at, &set) }).collect()
}

/// Keeps this thread, and those that it starts from now on, on one processor.
///
/// # Panics
/// If it may not run there.
#[expect(unsafe_code, reason = "a system call")]
pub fn stay_on(processor: usize) {
    // SAFETY: all-zero is an empty set, which lives through the call.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        assert_eq!(libc::sched_setaffinity(0, size_of_val(&set), &raw const set), 0);
    }
}

/// A few microseconds of CPU time.
pub fn work() {
    black_box((0..2000_u32).fold(1, |sum, n| black_box(sum ^ n)));
}

/// Functions that use so much CPU time, each under its own name.
#[macro_export]
macro_rules! busy {
    ($($name:ident)*) => {$(
        #[inline(never)]
        fn $name(time: ::std::time::Duration) {
            let end = $crate::cpu::thread_time() + time.as_nanos() as u64;
            while $crate::cpu::thread_time() < end {
                $crate::cpu::work();
            }
            // Bodies that differ, or one function would do for all.
            ::std::hint::black_box(stringify!($name));
        }
    )*};
}

/// A session at this rate.
///
/// # Panics
/// If it cannot be had.
pub fn at(hz: u32) -> Session {
    Options::new().hz(hz).start().expect("a session")
}
