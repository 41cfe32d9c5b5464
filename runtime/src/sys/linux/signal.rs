#![expect(
    unsafe_code,
    reason = "signal dispositions, what the kernel passes to a handler, and signals to threads"
)]
//! `SIGPROF`: who handles it, what it brings, and how a thread is sent one.
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

/// What a signal of ours brings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brought {
    /// How far the signal's value is behind the mark: what the sender had to say.
    pub(crate) word: usize,
    /// How many expirations of a timer it stands for.
    pub(crate) expirations: u64,
}

/// The part of `siginfo_t` that a POSIX timer and `rt_tgsigqueueinfo` fill. For the latter, the first two words are
/// the sender.
#[repr(C)]
struct Information {
    signal: c_int,
    errno: c_int,
    code: c_int,
    padding: c_int,
    id: c_int,
    overrun: c_int,
    value: *const c_void,
}

/// What the signal brings, if its value lies within the `words` bytes at `mark`.
#[inline(always)]
pub(crate) fn brought(info: *const libc::siginfo_t, mark: *const c_void, words: usize) -> Option<Brought> {
    const SI_TIMER: c_int = -2;
    const SI_QUEUE: c_int = -1;
    // SAFETY: the kernel passes a whole `siginfo_t`, of which this is the layout.
    let info = unsafe { &*info.cast::<Information>() };
    let word = info.value.addr().wrapping_sub(mark.addr());
    if word >= words {
        return None;
    }
    match info.code {
        SI_TIMER => Some(Brought { word, expirations: 1 + info.overrun.max(0) as u64 }),
        SI_QUEUE => Some(Brought { word, expirations: 1 }),
        _ => None,
    }
}

/// Sends `SIGPROF` with `value` to the thread `tid` of this process.
pub(crate) fn send(tid: i32, value: *const c_void) -> io::Result<()> {
    // SAFETY: takes nothing, cannot fail.
    let process = unsafe { libc::getpid() };
    // SAFETY: all-zero is a valid `siginfo_t`, of which this is the layout.
    let mut info: libc::siginfo_t = unsafe { zeroed() };
    // SAFETY: as above.
    let sent = unsafe { &mut *(&raw mut info).cast::<Information>() };
    (sent.signal, sent.code, sent.id, sent.value) = (libc::SIGPROF, libc::SI_QUEUE, process, value);
    match super::call::send(process, tid, libc::SIGPROF, &info) {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(-error as i32)),
    }
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
