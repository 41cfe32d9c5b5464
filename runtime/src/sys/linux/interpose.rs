#![expect(unsafe_code, reason = "finds libc's own functions, and swaps two words at once")]
//! What stands behind the functions that the feature `interpose` defines in libc's place.
use std::arch::asm;
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub(crate) use libc::SYS_futex as FUTEX;
pub(crate) use libc::{
    FUTEX_CMP_REQUEUE, FUTEX_PRIVATE_FLAG, FUTEX_REQUEUE, FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_WAKE,
    FUTEX_WAKE_BITSET,
};

/// `EAGAIN`: the word had another value, so that nobody waited.
pub(crate) const CHANGED: i32 = libc::EAGAIN;

/// The address of the function of this name that would be called if we did not define one; 0 if there is none.
pub(crate) fn next(name: &CStr) -> usize {
    // SAFETY: the name ends in 0.
    unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) }.expose_provenance()
}

/// This thread's `errno`.
#[inline(always)]
pub(crate) fn errno() -> i32 {
    // SAFETY: a thread's own variable, there as long as the thread is.
    unsafe { *libc::__errno_location() }
}

/// Sets this thread's `errno`.
#[inline(always)]
pub(crate) fn set_errno(value: i32) {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = value };
}

/// Calls `syscall` by its name, as all code of this module does: a wake of nobody at `word`.
pub(crate) fn wake_nobody(word: &AtomicU64) {
    let before = errno();
    // SAFETY: wakes whoever waits there, which nobody does.
    unsafe { libc::syscall(FUTEX, ptr::from_ref(word), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 0) };
    set_errno(before);
}

/// How many bytes of the program's own thread-locals lie below each thread's control block.
static THREAD_LOCALS: AtomicU64 = AtomicU64::new(0);

/// Reads the program's headers for it. Called once, at the start.
pub(crate) fn learn_thread_locals() {
    // SAFETY: takes numbers.
    let (at, count) = unsafe { (libc::getauxval(libc::AT_PHDR), libc::getauxval(libc::AT_PHNUM)) };
    if at == 0 {
        return;
    }
    let headers = ptr::with_exposed_provenance::<libc::Elf64_Phdr>(at as usize);
    for index in 0..count as usize {
        // SAFETY: the kernel says where the program's headers are mapped, and how many there are.
        let header = unsafe { headers.add(index).read() };
        if header.p_type == libc::PT_TLS {
            let size = header.p_memsz.next_multiple_of(header.p_align.max(1));
            THREAD_LOCALS.store(size, Relaxed);
        }
    }
}

/// Whether `address` is in a thread-local variable of the program's, of the calling thread.
pub(crate) fn is_thread_local(address: usize) -> bool {
    // SAFETY: takes nothing. With glibc it is the address of the control block, right above the program's variables.
    let control = unsafe { libc::pthread_self() };
    (1..=THREAD_LOCALS.load(Relaxed)).contains(&control.wrapping_sub(address as u64))
}

/// Whether the processor has what [`Pair`] needs: all but those of the first two years of x86-64.
pub(crate) fn has_pairs() -> bool {
    std::arch::is_x86_feature_detected!("cmpxchg16b")
}

/// Two words that change together.
#[derive(Debug)]
#[repr(C, align(16))]
pub(crate) struct Pair {
    words: [AtomicU64; 2],
}

impl Pair {
    pub(crate) const fn new() -> Pair {
        Pair { words: [const { AtomicU64::new(0) }; 2] }
    }

    /// Both, perhaps of different moments.
    pub(crate) fn look(&self) -> [u64; 2] {
        [self.words[0].load(Relaxed), self.words[1].load(Relaxed)]
    }

    /// Replaces both if they are `old`; otherwise gives what they are. To be called only if [`has_pairs`].
    pub(crate) fn replace(&self, old: [u64; 2], new: [u64; 2]) -> Result<(), [u64; 2]> {
        let (mut low, mut high) = (old[0], old[1]);
        let done: u8;
        // SAFETY: aligned, ours, of this size, changed by nothing but this. The compiler keeps `rbx` for itself, so that
        // it gets its word and its old value back right there.
        unsafe {
            asm!(
                "xchg {new_low}, rbx",
                "lock cmpxchg16b [rdi]",
                "sete r8b",
                "mov rbx, {new_low}",
                new_low = inout(reg) new[0] => _,
                in("rdi") self.words.as_ptr(),
                in("rcx") new[1],
                inout("rax") low,
                inout("rdx") high,
                out("r8b") done,
                options(nostack),
            );
        }
        if done != 0 { Ok(()) } else { Err([low, high]) }
    }

    /// As if it were new. Only where no other thread can be at it.
    pub(crate) fn clear(&self) {
        self.words.iter().for_each(|word| word.store(0, Relaxed));
    }
}
