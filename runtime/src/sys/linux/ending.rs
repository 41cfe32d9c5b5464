#![expect(unsafe_code, reason = "a signal handler, and a function that libc calls at exit")]
//! How a process ends: by `exit`, and by a `SIGTERM` that nobody handles.
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::ffi::c_int;
use std::fs::File;
use std::io::{self, Read as _};
use std::mem::{MaybeUninit, zeroed};
use std::os::fd::FromRawFd as _;
use std::ptr;

use super::signal::keeping_errno;

/// Has `f` called when the process ends by `exit` or by a return from `main`, on the thread that ends it, while the others
/// go on. Not in the process that a fork makes of it any less: `f` has to look.
pub(crate) fn at_exit(f: extern "C" fn()) {
    // SAFETY: a static function that takes nothing. It fails for want of memory, and then is not called.
    _ = unsafe { libc::atexit(f) };
}

/// The end of a pipe that the handler writes to; whose it is; whether a signal has come.
static WAKE: AtomicI32 = AtomicI32::new(-1);
static OWNER: AtomicI32 = AtomicI32::new(0);
static CAME: AtomicBool = AtomicBool::new(false);

/// Wakes the thread that waits, and nothing else: what is to be done is done there. In a forked child, which has no such
/// thread, and when the signal comes a second time, it ends the process as if nobody had handled it.
extern "C" fn on_signal(_: c_int) {
    keeping_errno(|| {
        // SAFETY: system calls that may be made in a handler, with plain numbers and a byte that is there.
        unsafe {
            if libc::getpid() == OWNER.load(Ordering::Relaxed) && !CAME.swap(true, Ordering::Relaxed) {
                libc::write(WAKE.load(Ordering::Relaxed), [0_u8].as_ptr().cast(), 1);
            } else {
                end_by_default();
            }
        }
    });
}

/// Gives `SIGTERM` its default action back and sends it. From the handler it takes effect when that returns.
fn end_by_default() {
    // SAFETY: all-zero is `SIG_DFL` with an empty mask; both calls may be made in a handler.
    unsafe {
        let default: libc::sigaction = zeroed();
        libc::sigaction(libc::SIGTERM, &raw const default, ptr::null_mut());
        libc::kill(libc::getpid(), libc::SIGTERM);
    }
}

fn action() -> usize {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: only asks; `now` is filled on success.
    unsafe {
        match libc::sigaction(libc::SIGTERM, ptr::null(), now.as_mut_ptr()) {
            0 => now.assume_init().sa_sigaction,
            _ => libc::SIG_IGN,
        }
    }
}

fn is_ours(action: usize) -> bool {
    action == on_signal as extern "C" fn(c_int) as usize
}

/// `SIGTERM` is heard.
#[derive(Debug)]
pub(crate) struct Termination {
    came: File,
}

impl Termination {
    /// Hears it, unless somebody else handles or ignores it already: `None`. For one caller at a time.
    pub(crate) fn hear() -> io::Result<Option<Termination>> {
        if action() != libc::SIG_DFL {
            return Ok(None);
        }
        let mut ends = [0; 2];
        // SAFETY: room for two descriptors.
        if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the reader's end is nobody else's. The other one stays open, for a handler has no end.
        let came = unsafe { File::from_raw_fd(ends[0]) };
        WAKE.store(ends[1], Ordering::Relaxed);
        OWNER.store(std::process::id() as i32, Ordering::Relaxed);
        CAME.store(false, Ordering::Relaxed);
        Self::hear_again()?;
        Ok(Some(Termination { came }))
    }

    /// After [`Self::unhear`]. What it was is there still.
    pub(crate) fn hear_again() -> io::Result<()> {
        if action() != libc::SIG_DFL {
            return Ok(());
        }
        // SAFETY: all-zero is an empty mask, no flags, and is filled in below; the handler keeps to what one may do.
        unsafe {
            let mut ours: libc::sigaction = zeroed();
            ours.sa_sigaction = on_signal as extern "C" fn(c_int) as usize;
            ours.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
            match libc::sigaction(libc::SIGTERM, &raw const ours, ptr::null_mut()) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        }
    }

    /// Leaves the default behind, unless somebody else handles it by now.
    pub(crate) fn unhear() {
        if is_ours(action()) {
            // SAFETY: all-zero is `SIG_DFL`.
            unsafe {
                let default: libc::sigaction = zeroed();
                libc::sigaction(libc::SIGTERM, &raw const default, ptr::null_mut());
            }
        }
    }

    /// Waits until the signal has come, and says whether the process is to end: not if somebody has put a handler in
    /// our place that calls ours.
    pub(crate) fn wait(&mut self) -> io::Result<bool> {
        self.came.read_exact(&mut [0])?;
        let ends = is_ours(action());
        if !ends {
            CAME.store(false, Ordering::Relaxed);
        }
        Ok(ends)
    }

    /// Ends the process by the signal, as if nobody had handled it.
    pub(crate) fn end() {
        // SAFETY: a set that is made before it is read. Threads of ours block it, and it may have been meant for one that
        // is no longer there.
        unsafe {
            let mut set = MaybeUninit::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut());
        }
        end_by_default();
    }
}
