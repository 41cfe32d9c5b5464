#![expect(unsafe_code, reason = "POSIX timers")]
//! Timers that count CPU time: the process's, or one thread's.
use std::ffi::c_void;
use std::mem::{MaybeUninit, zeroed};
use std::{io, ptr};

/// A timer on CPU time that raises `SIGPROF`.
#[derive(Debug)]
pub(crate) struct Timer(libc::timer_t);

// SAFETY: the id names a kernel object of the process; any thread may use it.
unsafe impl Send for Timer {}

impl Timer {
    /// A timer on the CPU time of the whole process. Its signal, with `value`, goes to any thread that takes it; since
    /// Linux 6.4 to the one that runs when it expires. Not armed yet.
    pub(crate) fn of_process(value: *const c_void) -> io::Result<Timer> {
        Timer::new(libc::CLOCK_PROCESS_CPUTIME_ID, value, |event| event.sigev_notify = libc::SIGEV_SIGNAL)
    }

    /// A timer on the CPU time of the thread `tid` of this process, whose signal goes to that thread. Not armed yet.
    pub(crate) fn of_thread(tid: i32, value: *const c_void) -> io::Result<Timer> {
        Timer::new(clock_of_thread(tid), value, |event| {
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_notify_thread_id = tid;
        })
    }

    fn new(
        clock: libc::clockid_t,
        value: *const c_void,
        notify: impl FnOnce(&mut libc::sigevent),
    ) -> io::Result<Timer> {
        // SAFETY: all-zero is a valid `sigevent`, filled in below.
        let mut event: libc::sigevent = unsafe { zeroed() };
        event.sigev_signo = libc::SIGPROF;
        event.sigev_value = libc::sigval { sival_ptr: value.cast_mut() };
        notify(&mut event);
        let mut id = ptr::null_mut();
        // SAFETY: both pointers are good for the call.
        match unsafe { libc::timer_create(clock, &raw mut event, &raw mut id) } {
            0 => Ok(Timer(id)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Expires every `period` nanoseconds of CPU time from now on, for the first time after `first`.
    pub(crate) fn arm(&self, first: u64, period: u64) -> io::Result<()> {
        self.set(0, first, period)
    }

    /// Expires now, as if it had at `since` of its clock and every `period` from then on.
    pub(crate) fn fire(&self, since: u64, period: u64) -> io::Result<()> {
        self.set(libc::TIMER_ABSTIME, since, period)
    }

    fn set(&self, flags: libc::c_int, first: u64, period: u64) -> io::Result<()> {
        let time = |ns: u64| libc::timespec {
            tv_sec: (ns / 1_000_000_000) as _,
            tv_nsec: (ns % 1_000_000_000) as libc::c_long,
        };
        let setting = libc::itimerspec { it_interval: time(period), it_value: time(first.max(1)) };
        // SAFETY: the timer lives until it is dropped.
        match unsafe { libc::timer_settime(self.0, flags, &raw const setting, ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// CPU time until it expires; 1 if it has expired and the signal is on its way. `None` if it never will: it is
    /// not armed, or the thread that it counts is gone.
    pub(crate) fn remaining(&self) -> Option<u64> {
        let mut setting = MaybeUninit::<libc::itimerspec>::uninit();
        // SAFETY: the timer lives until it is dropped; `setting` is filled on success.
        unsafe {
            if libc::timer_gettime(self.0, setting.as_mut_ptr()) != 0 {
                return None;
            }
            let value = setting.assume_init().it_value;
            let ns = value.tv_sec as u64 * 1_000_000_000 + value.tv_nsec as u64;
            (ns > 0).then_some(ns)
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: made by `new`, deleted once.
        _ = unsafe { libc::timer_delete(self.0) };
    }
}

/// The clock of a thread's CPU time, as the kernel numbers them (`MAKE_THREAD_CPUCLOCK` with `CPUCLOCK_SCHED` in
/// its `posix-timers.h`); `pthread_getcpuclockid` makes the same of a thread that one has a handle of.
fn clock_of_thread(tid: i32) -> libc::clockid_t {
    (!tid << 3) | 0b110
}

/// CPU time of the thread `tid` of this process; `None` if there is no such thread.
pub(crate) fn cpu_time_of(tid: i32) -> Option<u64> {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `time` is filled on success.
    unsafe {
        if libc::clock_gettime(clock_of_thread(tid), time.as_mut_ptr()) != 0 {
            return None;
        }
        let time = time.assume_init();
        Some(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }
}
