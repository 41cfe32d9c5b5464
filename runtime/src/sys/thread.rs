#![expect(unsafe_code, reason = "sets the signal mask")]
//! Threads of our own.
use std::mem::MaybeUninit;
use std::ptr;

/// Runs `f` with all signals blocked, so that a thread started there never takes one meant for the program. What
/// a fault of the thread itself raises stays open: blocked, it would kill the process past every crash handler.
pub(crate) fn with_signals_blocked<T>(f: impl FnOnce() -> T) -> T {
    let _restore = block();
    f()
}

/// The mask as it was.
struct Restore(Option<libc::sigset_t>);

fn block() -> Restore {
    let (mut all, mut old) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: `sigfillset` makes `all` a set before anything else reads it; `old` is read only if it was written.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        for fault in [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGILL,
            libc::SIGTRAP,
            libc::SIGSYS,
            libc::SIGABRT,
        ] {
            libc::sigdelset(all.as_mut_ptr(), fault);
        }
        match libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr()) {
            0 => Restore(Some(old.assume_init())),
            _ => Restore(None),
        }
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(old) = &self.0 {
            // SAFETY: `old` is the set that `block` was given by the system.
            _ = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, old, ptr::null_mut()) };
        }
    }
}
