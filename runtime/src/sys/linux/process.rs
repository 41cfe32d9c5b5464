#![expect(unsafe_code, reason = "registers callbacks with libc")]
//! The process, its forks, and the ends of its threads.
use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};

/// Has `before` called on the thread that forks, then the others on either side. They stay for ever.
pub(crate) fn at_fork(before: extern "C" fn(), in_parent: extern "C" fn(), in_child: extern "C" fn()) {
    // SAFETY: the functions are static and take nothing. It fails only for want of memory, and then a fork finds
    // our locks as they are: what it does to any program that uses a mutex.
    _ = unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
}

/// The kernel's id of this thread.
pub(crate) fn thread_id() -> i32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::gettid() }
}

const NO_KEY: u32 = u32::MAX;
static KEY: AtomicU32 = AtomicU32::new(NO_KEY);

/// Has `ended` called with `value` when this thread ends, after its Rust thread-locals are gone. Not on the main
/// thread when the process exits. The caller holds a lock, so that two threads do not make the key at once. `false`: the
/// process has no key left.
pub(crate) fn at_thread_end(value: *mut c_void, ended: unsafe extern "C" fn(*mut c_void)) -> bool {
    let mut key = KEY.load(Ordering::Relaxed);
    if key == NO_KEY {
        // SAFETY: the destructor is static; the key is written before it is used.
        if unsafe { libc::pthread_key_create(&raw mut key, Some(ended)) } != 0 {
            return false;
        }
        KEY.store(key, Ordering::Relaxed);
    }
    // SAFETY: the key exists. Unlike a thread-local with a destructor, this allocates nothing for the first 32 keys
    // of a process, and from libc's own allocator beyond: the caller may be inside the program's allocator.
    unsafe { libc::pthread_setspecific(key, value) == 0 }
}

/// Writes `message` to standard error and aborts. Fit for a signal handler.
pub(crate) fn die(message: &str) -> ! {
    // SAFETY: reads what it is given; both calls may be made anywhere.
    unsafe {
        libc::write(libc::STDERR_FILENO, message.as_ptr().cast(), message.len());
        libc::abort()
    }
}

/// The kernel's release, such as `6.1.0-18-amd64`.
pub(crate) fn kernel_release() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|release| release.trim().to_owned())
}
