#![expect(unsafe_code, reason = "handlers of signals")]
//! Signals with which somebody asks for something: counted by the handler, and looked at by a thread of ours.
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::signal::{Handler, keeping_errno};

const MOST: usize = 65;

/// How often each has come.
static CAME: [AtomicU32; MOST] = [const { AtomicU32::new(0) }; MOST];
/// The handlers that were there before ours, or 0, and whether they take what the kernel tells.
static BEFORE: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];
static TAKES_INFO: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];

extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(at) = usize::try_from(signal).ok().filter(|&at| at < MOST) else { return };
    CAME[at].fetch_add(1, Ordering::Relaxed);
    let before = BEFORE[at].load(Ordering::Acquire);
    if before == 0 {
        return;
    }
    keeping_errno(|| {
        // SAFETY: the address is that of a handler somebody installed with this very signature, which the flag tells.
        unsafe {
            if TAKES_INFO[at].load(Ordering::Relaxed) != 0 {
                core::mem::transmute::<usize, Handler>(before)(signal, info, context);
            } else {
                core::mem::transmute::<usize, extern "C" fn(c_int)>(before)(signal);
            }
        }
    });
}

/// Whether it is one that means nothing but what programs agree on.
fn is_free(signal: c_int) -> bool {
    [libc::SIGUSR1, libc::SIGUSR2, libc::SIGHUP, libc::SIGQUIT, libc::SIGIO, libc::SIGWINCH].contains(&signal)
        || (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&signal)
}

/// Counts a signal from now on, and for ever: one that is on its way when nobody wants it any more would end the process.
/// The handler that was there before is called, too. `false`: it is one with which something else is asked for.
pub(crate) fn hear(signal: i32) -> io::Result<bool> {
    let Some(at) = usize::try_from(signal).ok().filter(|&at| at < MOST && is_free(signal)) else {
        return Ok(false);
    };
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the handler is a static function that does nothing but count and call the one before; all-zero is an empty
    // mask without flags; `now` is filled on success. What is called before is noted before it is needed.
    unsafe {
        if libc::sigaction(signal, std::ptr::null(), now.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let now = now.assume_init();
        if now.sa_sigaction == on_signal as Handler as usize {
            return Ok(true);
        }
        let has_none = [libc::SIG_DFL, libc::SIG_IGN].contains(&now.sa_sigaction);
        TAKES_INFO[at].store(usize::from(now.sa_flags & libc::SA_SIGINFO != 0), Ordering::Relaxed);
        BEFORE[at].store(if has_none { 0 } else { now.sa_sigaction }, Ordering::Release);
        let mut ours: libc::sigaction = zeroed();
        ours.sa_sigaction = on_signal as Handler as usize;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        match libc::sigaction(signal, &raw const ours, std::ptr::null_mut()) {
            0 => Ok(true),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// How often it has come since it is heard.
pub(crate) fn count(signal: i32) -> u32 {
    usize::try_from(signal).ok().and_then(|at| CAME.get(at)).map_or(0, |count| count.load(Ordering::Relaxed))
}
