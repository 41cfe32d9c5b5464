#![expect(unsafe_code, reason = "installs a signal handler and raises signals with a timer's mark")]
//! What one CPU sample costs: the handler, from 40 functions deep.
mod measure;

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::mem::zeroed;
use std::ptr;
use std::time::Duration;

use measure::{Pair, Table, Target, deep, timed};

/// As many as the ring can take between two looks, with the pauses that are made for it.
const BURST: u64 = 16;

/// A timer's signal, as the kernel lays it out.
#[repr(C)]
struct TimerSignal {
    signal: c_int,
    errno: c_int,
    code: c_int,
    padding: c_int,
    id: c_int,
    overrun: c_int,
    value: *const c_void,
    rest: [u64; 12],
}

/// Has the kernel deliver `signal` to this thread as if a timer of this value had expired.
fn raise(signal: c_int, value: *const c_void) {
    const SI_TIMER: c_int = -2;
    let info =
        TimerSignal { signal, errno: 0, code: SI_TIMER, padding: 0, id: 0, overrun: 0, value, rest: [0; 12] };
    // SAFETY: the structure is a whole `siginfo_t`; a process may send itself any code below zero.
    let sent = unsafe {
        libc::syscall(libc::SYS_rt_tgsigqueueinfo, libc::getpid(), libc::gettid(), signal, &raw const info)
    };
    assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
}

thread_local! {
    static SEEN: Cell<u64> = const { Cell::new(0) };
}

extern "C" fn nothing(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    SEEN.with(|seen| seen.set(seen.get() + 1));
}

/// A signal that costs what a signal costs, under the flags that ours has.
fn install_nothing(signal: c_int) {
    // SAFETY: all-zero is an empty mask and no flags; the handler only counts.
    unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = nothing as extern "C" fn(_, _, _) as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        assert_eq!(libc::sigaction(signal, &raw const action, ptr::null_mut()), 0);
    }
}

fn burst(times: u64, depth: usize, signal: c_int, value: *const c_void) -> Duration {
    let mut took = Duration::ZERO;
    deep(depth, &mut || took = timed(|| (0..times).for_each(|_| raise(signal, value))));
    took
}

fn main() {
    install_nothing(libc::SIGUSR2);
    raise(libc::SIGUSR2, ptr::null());
    assert_eq!(SEEN.get(), 1, "the kernel delivers what we queue");

    let mut table = Table::new("CPU");
    let session = profiled::cpu::Options::new().hz(1).start().expect("a session");
    let tag = profiled::__private::timer_tag();
    // Fifteen frames are ours besides: what runs `main`, the measuring around a slice, and the system call.
    for (depth, what) in [(25, "one sample, 40 frames"), (1, "one sample, 16 frames")] {
        let with = |n| burst(n, depth, libc::SIGPROF, tag);
        let without = |n| burst(n, depth, libc::SIGUSR2, tag);
        let target = if depth == 25 { Target::Added(3300.0) } else { Target::Open };
        let pause = || std::thread::sleep(Duration::from_millis(1));
        table.row_of(what, target, BURST, 500, &[Pair { with: &with, without: &without }], &pause);
    }
    let snapshot = session.stop();
    let deepest = snapshot.samples().map(|sample| sample.addresses().len()).max();
    assert!(deepest.is_none_or(|frames| (14..=44).contains(&frames)), "{deepest:?} frames");
}
