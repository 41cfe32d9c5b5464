#![expect(unsafe_code, reason = "defines functions of libc's, and calls those that stand behind them")]
//! The functions that the program gets in libc's place: `syscall`, `pthread_join`, `pthread_create`.
//!
//! Each has a word with the address of the next function of its name, found before `main` by a constructor, or by the
//! first call if that comes earlier. `syscall` compares the number, the one branch that other calls pass, and jumps: it
//! has no frame, touches no register that counts and leaves the arguments on the stack where they are. `pthread_join` is
//! where a thread can be cancelled, and its stack then unwound: its frame is assembly, too, which has no clean-up that a
//! foreign unwinder might run into.
use std::arch::naked_asm;
use std::ffi::{c_int, c_long, c_void};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

use super::{futex, thread};
use crate::sys::interpose as sys;

static SYSCALL: AtomicPtr<()> = AtomicPtr::new(first_call as *const () as *mut ());
static JOIN: AtomicUsize = AtomicUsize::new(0);
static CREATE: AtomicUsize = AtomicUsize::new(0);

/// Finds the functions that stand behind ours. Once for all, but two threads may do it at a time.
pub(super) extern "C" fn find() {
    let syscall = match sys::next(c"syscall") {
        0 => no_syscall as *const () as *mut (),
        found => std::ptr::with_exposed_provenance_mut(found),
    };
    SYSCALL.store(syscall, Relaxed);
    JOIN.store(sys::next(c"pthread_join"), Relaxed);
    CREATE.store(sys::next(c"pthread_create"), Relaxed);
}

/// `syscall` of libc's: for all numbers but that of futexes, that very function.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn syscall() -> c_long {
    naked_asm!(
        ".cfi_startproc",
        "endbr64",
        "cmp rdi, {futex}",
        "je {hook}",
        "jmp qword ptr [rip + {real}]",
        ".cfi_endproc",
        futex = const sys::FUTEX,
        hook = sym futex::futex,
        real = sym SYSCALL,
    )
}

/// What stands behind `syscall` before our constructor has run: finds libc's, and goes there.
#[unsafe(naked)]
extern "C" fn first_call() {
    naked_asm!(
        ".cfi_startproc",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "push rsi",
        ".cfi_adjust_cfa_offset 8",
        "push rdx",
        ".cfi_adjust_cfa_offset 8",
        "push rcx",
        ".cfi_adjust_cfa_offset 8",
        "push r8",
        ".cfi_adjust_cfa_offset 8",
        "push r9",
        ".cfi_adjust_cfa_offset 8",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 8",
        "call {find}",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "pop r9",
        ".cfi_adjust_cfa_offset -8",
        "pop r8",
        ".cfi_adjust_cfa_offset -8",
        "pop rcx",
        ".cfi_adjust_cfa_offset -8",
        "pop rdx",
        ".cfi_adjust_cfa_offset -8",
        "pop rsi",
        ".cfi_adjust_cfa_offset -8",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "jmp qword ptr [rip + {real}]",
        ".cfi_endproc",
        real = sym SYSCALL,
        find = sym find,
    )
}

/// `pthread_join` of libc's, timed.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn pthread_join(thread: usize, result: *mut *mut c_void) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "endbr64",
        "sub rsp, 40",
        ".cfi_adjust_cfa_offset 40",
        "mov qword ptr [rsp], rdi",
        "mov qword ptr [rsp + 8], rsi",
        // Leaves the address of the function behind this one, and when the wait began.
        "lea rdi, [rsp + 16]",
        "call {begin}",
        "mov rdi, qword ptr [rsp]",
        "mov rsi, qword ptr [rsp + 8]",
        "call rax",
        "mov dword ptr [rsp], eax",
        "lea rdi, [rsp + 16]",
        "call {end}",
        "mov eax, dword ptr [rsp]",
        "add rsp, 40",
        ".cfi_adjust_cfa_offset -40",
        "ret",
        ".cfi_endproc",
        begin = sym thread::join_begins,
        end = sym thread::join_ends,
    )
}

/// `pthread_create` of libc's, noted.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_create(
    thread: *mut usize,
    attributes: *const c_void,
    start: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> c_int {
    type Start = unsafe extern "C-unwind" fn(*mut c_void) -> *mut c_void;
    type Create = unsafe extern "C" fn(*mut usize, *const c_void, Start, *mut c_void) -> c_int;
    let create = real(&CREATE);
    if create == 0 {
        return NO_SUCH_CALL;
    }
    let noted = thread::creates(start as *mut c_void, argument);
    let (start, argument): (Start, _) = match noted {
        Some(pending) => (begins, pending),
        None => (start, argument),
    };
    // SAFETY: what the linker would have bound this call to, with the arguments of whoever called; or with a function that
    // goes on to theirs, and its own argument.
    let result = unsafe { std::mem::transmute::<usize, Create>(create)(thread, attributes, start, argument) };
    if let Some(pending) = noted.filter(|_| result != 0) {
        thread::not_created(pending);
    }
    crate::stack::stay();
    result
}

/// Where a thread begins that was noted: it says so, and goes on to what it is to do, with no frame of ours below that.
#[unsafe(naked)]
unsafe extern "C-unwind" fn begins(pending: *mut c_void) -> *mut c_void {
    naked_asm!(
        ".cfi_startproc",
        "endbr64",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 8",
        "call {begins}",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "mov rdi, rdx",
        "jmp rax",
        ".cfi_endproc",
        begins = sym thread::begins,
    )
}

/// A libc without it.
extern "C" fn no_syscall() -> c_long {
    sys::set_errno(NO_SUCH_CALL);
    -1
}

/// `ENOSYS`.
const NO_SUCH_CALL: c_int = 38;

/// The address in `word`.
fn real(word: &AtomicUsize) -> usize {
    if word.load(Relaxed) == 0 {
        find();
    }
    word.load(Relaxed)
}

/// The address of the function behind `pthread_join`.
pub(super) fn join() -> usize {
    real(&JOIN)
}

/// The arguments of a futex call, as they came.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) word: usize,
    pub(super) operation: usize,
    pub(super) value: usize,
    pub(super) timeout: usize,
    pub(super) other: usize,
    pub(super) last: usize,
}

impl Call {
    /// Passes it on, and gives what comes back.
    #[inline(always)]
    pub(super) fn pass_on(self) -> c_long {
        type Syscall = unsafe extern "C" fn(c_long, usize, usize, usize, usize, usize, usize) -> c_long;
        let Call { word, operation, value, timeout, other, last } = self;
        // SAFETY: what the linker would have bound this call to, with the arguments of whoever called.
        unsafe {
            let call = std::mem::transmute::<*mut (), Syscall>(SYSCALL.load(Relaxed));
            call(sys::FUTEX, word, operation, value, timeout, other, last)
        }
    }
}
