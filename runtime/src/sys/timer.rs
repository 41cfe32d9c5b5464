#![expect(unsafe_code, reason = "POSIX timers and signal dispositions")]
//! The timer that counts the process's CPU time, and the signal it raises.
use std::ffi::{c_int, c_void};
use std::mem::{MaybeUninit, zeroed};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{io, ptr};

/// A handler of `SIGPROF`, as the kernel calls it.
pub(crate) type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// The handler that was there before ours; 0 if there was none to call.
static BEFORE: AtomicUsize = AtomicUsize::new(0);
static BEFORE_TAKES_INFO: AtomicUsize = AtomicUsize::new(0);

/// Makes `handler` the process's for `SIGPROF`, remembering the one before it.
///
/// It stays for ever: a signal may be on its way when sampling stops, and without a handler it kills the process.
/// It runs on the alternate stack where there is one, and interrupted system calls are taken up again where the
/// kernel can.
pub(crate) fn install(handler: Handler) -> io::Result<()> {
    // SAFETY: all-zero is an empty mask, no flags, and is filled in below.
    let mut action: libc::sigaction = unsafe { zeroed() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    let mut before = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the handler is a static function that keeps to what a handler may do; `before` is filled on success.
    unsafe {
        if libc::sigaction(libc::SIGPROF, &raw const action, before.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let before = before.assume_init();
        let known = [libc::SIG_DFL, libc::SIG_IGN, handler as usize];
        if !known.contains(&before.sa_sigaction) {
            let takes_info = before.sa_flags & libc::SA_SIGINFO != 0;
            BEFORE_TAKES_INFO.store(usize::from(takes_info), Ordering::Relaxed);
            BEFORE.store(before.sa_sigaction, Ordering::Release);
        }
    }
    Ok(())
}

/// Whether nobody handles `SIGPROF` any more: whoever installed over us has left the default behind, which kills.
pub(crate) fn is_unhandled() -> bool {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: only asks; `now` is filled on success.
    unsafe {
        libc::sigaction(libc::SIGPROF, ptr::null(), now.as_mut_ptr()) == 0
            && [libc::SIG_DFL, libc::SIG_IGN].contains(&now.assume_init().sa_sigaction)
    }
}

/// Hands a signal that is not ours to the handler that was there before.
pub(crate) fn chain(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let before = BEFORE.load(Ordering::Acquire);
    if before == 0 {
        return;
    }
    // SAFETY: the address is that of a handler somebody installed with this very signature, which the flag tells.
    unsafe {
        if BEFORE_TAKES_INFO.load(Ordering::Relaxed) != 0 {
            let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                core::mem::transmute::<usize, _>(before);
            handler(signal, info, context);
        } else {
            let handler: extern "C" fn(c_int) = core::mem::transmute::<usize, _>(before);
            handler(signal);
        }
    }
}

/// What a timer's signal brings: how many expirations it stands for, if the timer carries `tag`.
#[inline(always)]
pub(crate) fn expirations(info: *const libc::siginfo_t, tag: *const c_void) -> Option<u64> {
    /// The part of `siginfo_t` that a POSIX timer fills.
    #[repr(C)]
    struct TimerInfo {
        signal: c_int,
        errno: c_int,
        code: c_int,
        padding: c_int,
        id: c_int,
        overrun: c_int,
        value: *const c_void,
    }
    const SI_TIMER: c_int = -2;
    // SAFETY: the kernel passes a whole `siginfo_t`, of which this is the beginning.
    let info = unsafe { &*info.cast::<TimerInfo>() };
    if info.code == SI_TIMER && info.value == tag { Some(1 + info.overrun.max(0) as u64) } else { None }
}

/// Runs `f` and leaves `errno` as it was.
#[inline(always)]
pub(crate) fn keeping_errno(f: impl FnOnce()) {
    // SAFETY: the location is this thread's own.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    f();
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// A timer on the CPU time of the whole process.
#[derive(Debug)]
pub(crate) struct Timer(libc::timer_t);

// SAFETY: the id names a kernel object of the process; any thread may use it.
unsafe impl Send for Timer {}

impl Timer {
    /// A timer that raises `SIGPROF` with `tag` in its value, not armed yet.
    pub(crate) fn new(tag: *const c_void) -> io::Result<Timer> {
        // SAFETY: all-zero is a valid `sigevent`, filled in below.
        let mut event: libc::sigevent = unsafe { zeroed() };
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = libc::SIGPROF;
        event.sigev_value = libc::sigval { sival_ptr: tag.cast_mut() };
        let mut id = ptr::null_mut();
        // SAFETY: both pointers are good for the call.
        match unsafe { libc::timer_create(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut event, &raw mut id) } {
            0 => Ok(Timer(id)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Expires every `period` nanoseconds of CPU time from now on, for the first time after `first`.
    pub(crate) fn arm(&self, first: u64, period: u64) -> io::Result<()> {
        let time = |ns: u64| libc::timespec {
            tv_sec: (ns / 1_000_000_000) as libc::time_t,
            tv_nsec: (ns % 1_000_000_000) as libc::c_long,
        };
        let setting = libc::itimerspec { it_interval: time(period), it_value: time(first.max(1)) };
        // SAFETY: the timer lives until it is dropped.
        match unsafe { libc::timer_settime(self.0, 0, &raw const setting, ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: made by `new`, deleted once.
        _ = unsafe { libc::timer_delete(self.0) };
    }
}
