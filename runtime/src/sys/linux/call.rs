#![expect(unsafe_code, reason = "system calls")]
//! System calls as the signal handler makes them: one instruction, no `errno`, no cancellation point, nothing that
//! a library could put in their way.
use std::arch::asm;
use std::ffi::c_int;

/// # Safety
/// What the call of this number asks of its arguments.
#[inline(always)]
unsafe fn call(number: i64, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result;
    // SAFETY: the kernel clobbers `rcx`, `r11` and what the arguments point to; the rest is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// The kernel's id of this thread.
#[inline(always)]
pub(crate) fn thread_id() -> i32 {
    // SAFETY: takes nothing.
    unsafe { call(libc::SYS_gettid, 0, 0, 0, 0) as i32 }
}

/// Whether this process has a thread of this id.
pub(crate) fn is_thread(process: i32, thread: i32) -> bool {
    // SAFETY: takes numbers; the signal 0 is sent to nobody.
    unsafe { call(libc::SYS_tgkill, process as usize, thread as usize, 0, 0) == 0 }
}

/// The name of this thread, ended by 0.
#[inline(always)]
pub(crate) fn thread_name() -> [u8; super::thread::NAME_BYTES] {
    let mut name = [0; super::thread::NAME_BYTES];
    // SAFETY: the kernel writes at most sixteen bytes, the last of them 0.
    unsafe { call(libc::SYS_prctl, libc::PR_GET_NAME as usize, (&raw mut name).expose_provenance(), 0, 0) };
    name
}

/// Sends `signal` with `info` to a thread. The result is 0 or less than that.
pub(crate) fn send(process: i32, thread: i32, signal: c_int, info: &libc::siginfo_t) -> isize {
    // SAFETY: the structure is whole.
    unsafe {
        let info = std::ptr::from_ref(info).expose_provenance();
        call(libc::SYS_rt_tgsigqueueinfo, process as usize, thread as usize, signal as usize, info)
    }
}
