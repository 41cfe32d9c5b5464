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
