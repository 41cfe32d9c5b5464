#![expect(
    unsafe_code,
    reason = "signal dispositions, what the kernel passes to a handler, and signals to threads"
)]
//! The two signals that we handle: who handles them besides, what they bring, and how a thread is sent one.
use std::ffi::{c_int, c_void};
use std::mem::{MaybeUninit, zeroed};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{io, ptr};

/// A handler of signals, as the kernel calls it.
pub(crate) type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// A signal that we handle.
pub(crate) struct Line {
    number: c_int,
    /// The handler that was there before ours; 0 if there was none to call.
    before: AtomicUsize,
    before_takes_info: AtomicUsize,
}

/// Has a thread take a sample of itself.
pub(crate) static SAMPLING: Line = Line::new(libc::SIGPROF);

/// Has a thread show where it is.
///
/// Not one of the realtime signals, of which any library may think that it is free: what is nobody's kills, and one that
/// comes late, to a thread that blocks it and then calls `exec`, would. `SIGURG` is ignored then, debuggers pass it on
/// without a word, and whoever handles it is used to its coming for no reason.
pub(crate) static DUMPING: Line = Line::new(libc::SIGURG);

impl Line {
    const fn new(number: c_int) -> Line {
        Line { number, before: AtomicUsize::new(0), before_takes_info: AtomicUsize::new(0) }
    }
}

impl Line {
    /// Makes `handler` the process's, remembering the one before it.
    ///
    /// It stays for ever: a signal may be on its way when it is no longer wanted, and without a handler `SIGPROF` kills the
    /// process. It runs on the alternate stack where there is one, and interrupted system calls are taken up again where the
    /// kernel can.
    pub(crate) fn install(&self, handler: Handler) -> io::Result<()> {
        // SAFETY: all-zero is an empty mask, no flags, and is filled in below.
        let mut action: libc::sigaction = unsafe { zeroed() };
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        // One after the other. What the kernel saves for each takes kilobytes, and the alternate stacks of the standard
        // library have room for little more than one.
        for line in [&SAMPLING, &DUMPING] {
            // SAFETY: a mask of ours and the number of a signal.
            unsafe { libc::sigaddset(&raw mut action.sa_mask, line.number) };
        }
        let mut before = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: the handler is a static function that keeps to what a handler may do; `before` is filled on success.
        unsafe {
            if libc::sigaction(self.number, &raw const action, before.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let before = before.assume_init();
            let known = [libc::SIG_DFL, libc::SIG_IGN, handler as usize];
            if !known.contains(&before.sa_sigaction) {
                let takes_info = before.sa_flags & libc::SA_SIGINFO != 0;
                self.before_takes_info.store(usize::from(takes_info), Ordering::Relaxed);
                self.before.store(before.sa_sigaction, Ordering::Release);
            }
        }
        Ok(())
    }

    /// Whether nobody handles it any more: whoever installed over us has left the default behind, which for `SIGPROF` kills.
    pub(crate) fn is_unhandled(&self) -> bool {
        let mut now = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: only asks; `now` is filled on success.
        unsafe {
            libc::sigaction(self.number, ptr::null(), now.as_mut_ptr()) == 0
                && [libc::SIG_DFL, libc::SIG_IGN].contains(&now.assume_init().sa_sigaction)
        }
    }

    /// Hands a signal that is not ours to the handler that was there before.
    pub(crate) fn chain(&self, signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
        let before = self.before.load(Ordering::Acquire);
        if before == 0 {
            return;
        }
        // SAFETY: the address is that of a handler somebody installed with this very signature, which the flag tells.
        unsafe {
            if self.before_takes_info.load(Ordering::Relaxed) != 0 {
                let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                    core::mem::transmute::<usize, _>(before);
                handler(signal, info, context);
            } else {
                let handler: extern "C" fn(c_int) = core::mem::transmute::<usize, _>(before);
                handler(signal);
            }
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
    /// What the sender noted besides; of a timer nothing that means anything.
    pub(crate) note: u32,
}

/// The part of `siginfo_t` that a POSIX timer and `rt_tgsigqueueinfo` fill. For the latter, `id` is the sender, and in
/// place of `overrun` is its user, where we put what we like: nobody else looks at it.
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
        SI_TIMER => Some(Brought { word, expirations: 1 + info.overrun.max(0) as u64, note: 0 }),
        SI_QUEUE => Some(Brought { word, expirations: 1, note: info.overrun as u32 }),
        _ => None,
    }
}

impl Line {
    /// Sends it with `value` and a note to the thread `tid` of this process.
    pub(crate) fn send(&self, tid: i32, value: *const c_void, note: u32) -> io::Result<()> {
        // SAFETY: takes nothing, cannot fail.
        let process = unsafe { libc::getpid() };
        // SAFETY: all-zero is a valid `siginfo_t`, of which this is the layout.
        let mut info: libc::siginfo_t = unsafe { zeroed() };
        // SAFETY: as above.
        let sent = unsafe { &mut *(&raw mut info).cast::<Information>() };
        (sent.signal, sent.code, sent.id, sent.value) = (self.number, libc::SI_QUEUE, process, value);
        sent.overrun = note as c_int;
        match super::call::send(process, tid, self.number, &info) {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(-error as i32)),
        }
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
