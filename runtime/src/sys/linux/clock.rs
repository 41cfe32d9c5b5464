#![expect(unsafe_code, reason = "reads the time-stamp counter and the kernel's clocks")]
//! The kernel's clocks and the processor's counter.
use std::mem::MaybeUninit;

/// A clock of the kernel's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    /// Time since boot, never set back.
    Monotonic,
    /// The same, sleep of the machine included: threads' starts are by it.
    Boot,
    /// CPU time of the whole process, in user and kernel mode.
    ProcessCpu,
    /// CPU time of the calling thread.
    ThreadCpu,
}

/// What `clock` shows, in nanoseconds; 0 if the kernel does not have it.
pub(crate) fn nanoseconds(clock: Clock) -> u64 {
    let id = match clock {
        Clock::Monotonic => libc::CLOCK_MONOTONIC,
        Clock::Boot => libc::CLOCK_BOOTTIME,
        Clock::ProcessCpu => libc::CLOCK_PROCESS_CPUTIME_ID,
        Clock::ThreadCpu => libc::CLOCK_THREAD_CPUTIME_ID,
    };
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the kernel fills the structure when it returns 0.
    unsafe {
        if libc::clock_gettime(id, time.as_mut_ptr()) != 0 {
            return 0;
        }
        let time = time.assume_init();
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}

/// The kernel's tick, in nanoseconds: CPU timers expire at it and not between. 0 if it does not tell.
pub(crate) fn tick() -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the kernel fills the structure when it returns 0. The coarse clock moves once a tick.
    unsafe {
        if libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, time.as_mut_ptr()) != 0 {
            return 0;
        }
        let time = time.assume_init();
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}

/// Whether the counter runs at one rate through every change of frequency and every sleep state
/// (CPUID 0x8000_0007, EDX bit 8). Hypervisors hide the bit when a move to another machine would break it.
pub(crate) fn counter_is_invariant() -> bool {
    use core::arch::x86_64::__cpuid;
    __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & (1 << 8) != 0
}

/// The time-stamp counter. Not ordered against other instructions: a few nanoseconds either way.
#[inline(always)]
pub(crate) fn counter() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and Linux leaves it to user mode.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The same, once all that the program did before is done. Without this the processor may look before it has finished,
/// and count what came before into what comes after.
#[inline(always)]
pub(crate) fn counter_in_order() -> u64 {
    // SAFETY: every x86-64 processor has both instructions, and Linux leaves them to user mode.
    unsafe {
        core::arch::x86_64::_mm_lfence();
        core::arch::x86_64::_rdtsc()
    }
}
