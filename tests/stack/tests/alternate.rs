//! Stacks taken by a signal handler that has 8 KiB of its own, on threads that no ordinary code of ours has met.
#![cfg(not(any(profiled_portable, target_env = "musl")))]
use profiled_test_stack::maze::{go, small_plan};
use profiled_test_stack::{Reference, Score, ours};
use std::cell::{Cell, UnsafeCell};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Once;

const SIZE: usize = 8 << 10;
const GUARD: usize = 4 << 10;

thread_local! {
    static ADDRESSES: UnsafeCell<[u64; 128]> = const { UnsafeCell::new([0; 128]) };
    static TAKEN: Cell<(usize, bool)> = const { Cell::new((0, false)) };
}

extern "C" fn on_signal(_signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the handler's own context; the thread itself waits for us.
    TAKEN.set(unsafe { ours::capture_context(context, &mut *ADDRESSES.with(UnsafeCell::get)) });
}

fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        ours::prepare();
        // SAFETY: installs the handler above.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
            assert_eq!(libc::sigaction(libc::SIGUSR1, &action, ptr::null_mut()), 0);
        }
    });
}

/// Runs on an alternate stack of 8 KiB with a guard page below, and says how much of it was used.
fn on_small_stack(run: impl FnOnce()) -> usize {
    const FRESH: u8 = 0xa5;
    // SAFETY: a mapping of ours becomes the signal stack of this thread until it is taken away again.
    unsafe {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let memory = libc::mmap(ptr::null_mut(), GUARD + SIZE, protection, flags, -1, 0);
        assert_ne!(memory, libc::MAP_FAILED);
        assert_eq!(libc::mprotect(memory, GUARD, libc::PROT_NONE), 0);
        let start = memory.cast::<u8>().add(GUARD);
        start.write_bytes(FRESH, SIZE);
        let new = libc::stack_t { ss_sp: start.cast(), ss_flags: 0, ss_size: SIZE };
        let mut old: libc::stack_t = std::mem::zeroed();
        assert_eq!(libc::sigaltstack(&new, &mut old), 0);
        run();
        assert_eq!(libc::sigaltstack(&old, ptr::null_mut()), 0);
        let fresh = (0..SIZE).take_while(|&at| start.add(at).read() == FRESH).count();
        libc::munmap(memory, GUARD + SIZE);
        SIZE - fresh
    }
}

/// The stack as the handler sees it while this calls `raise`, against libgcc's from here.
#[inline(never)]
fn interrupted(score: &mut Score) {
    // SAFETY: the handler above answers.
    unsafe { libc::raise(libc::SIGUSR1) };
    let (len, truncated) = TAKEN.take();
    // SAFETY: the handler has returned.
    let addresses = unsafe { *ADDRESSES.with(UnsafeCell::get) };
    let mut reference = Box::new(Reference::new());
    reference.take();
    // Up to the callers of this function, which the two have in common.
    let theirs = &reference.addresses()[2..];
    let at = addresses[..len].iter().position(|address| Some(address) == theirs.first()).unwrap_or(0);
    assert!((2..8).contains(&at), "libc's frames and this one: {at} of {len}, cut: {truncated}");
    score.add(&addresses[at..len], truncated, theirs);
}

#[test]
fn eight_kilobytes_are_enough() {
    install();
    let mut score = Score::default();
    let mut used = 0;
    for number in 0..300 {
        let mut part = Score::default();
        let run = || {
            let mut used = 0;
            go(&small_plan(number, number as usize % 14), &mut || {
                used = on_small_stack(|| interrupted(&mut part));
            });
            used
        };
        used = std::thread::scope(|scope| scope.spawn(run).join().unwrap()).max(used);
        score.merge(part);
    }
    // SAFETY: takes a number, gives a number.
    let kernel = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) };
    println!("the handler used up to {used} bytes of its stack, {kernel} of them the kernel's");
    score.check("fresh threads", 300);
}

/// Calls `run` on another stack, as coroutines do.
#[inline(never)]
fn on_stack(top: *mut u8, run: extern "C" fn()) {
    // SAFETY: `top` is the aligned end of memory that nobody else uses; the old stack pointer is kept.
    unsafe {
        std::arch::asm!(
            "mov r12, rsp",
            "mov rsp, {top}",
            "call {run}",
            "mov rsp, r12",
            top = in(reg) top,
            run = in(reg) run,
            out("r12") _,
            clobber_abi("C"),
        );
    }
}

thread_local!(static ON_COROUTINE: Cell<(usize, bool)> = const { Cell::new((0, false)) });

/// Nobody knows this stack, its memory ends right above, and the unwind information of the code that switched to it
/// is wrong: the walk must find the frames that are there, and then stop.
#[test]
fn a_coroutine_ends_the_walk_and_not_the_program() {
    extern "C" fn body() {
        let (addresses, truncated) = ours::capture_addresses(0);
        ON_COROUTINE.set((addresses.len(), truncated));
        // SAFETY: the handler above answers.
        unsafe { libc::raise(libc::SIGUSR1) };
    }
    install();
    std::thread::spawn(|| {
        const STACK: usize = 64 << 10;
        // SAFETY: a mapping with unreadable pages on both sides, used as a stack by nobody else.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let memory =
                libc::mmap(ptr::null_mut(), STACK + 2 * GUARD, libc::PROT_NONE, flags, -1, 0).cast::<u8>();
            let (start, protection) = (memory.add(GUARD), libc::PROT_READ | libc::PROT_WRITE);
            assert_eq!(libc::mprotect(start.cast(), STACK, protection), 0);
            on_stack(start.add(STACK), body);
            libc::munmap(memory.cast(), STACK + 2 * GUARD);
        }
        let (frames, truncated) = ON_COROUTINE.get();
        assert!(frames >= 2 && truncated, "{frames} frames, cut: {truncated}");
        let (frames, truncated) = TAKEN.get();
        assert!(frames >= 3 && truncated, "{frames} frames, cut: {truncated}");
    })
    .join()
    .unwrap();
}

/// A handler that runs ordinary code sees its own frames: the walk stays on its side of the signal.
#[test]
fn signal_frames_are_not_crossed() {
    thread_local!(static FOUND: Cell<(usize, bool)> = const { Cell::new((0, false)) });
    extern "C" fn handler(_signal: c_int) {
        let (addresses, truncated) = ours::capture_addresses(0);
        FOUND.set((addresses.len(), truncated));
    }
    // SAFETY: installs the handler above.
    unsafe {
        libc::signal(libc::SIGUSR2, handler as *const () as usize);
        libc::raise(libc::SIGUSR2);
    }
    let (frames, truncated) = FOUND.get();
    assert!((1..4).contains(&frames) && truncated, "{frames} frames, cut: {truncated}");
}
