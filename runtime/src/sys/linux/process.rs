#![expect(unsafe_code, reason = "registers callbacks with libc")]
//! The process, its forks, and the ends of its threads.
use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::record::Fact;

/// Has `before` called on the thread that forks, then the others on either side. They stay for ever.
pub(crate) fn at_fork(before: extern "C" fn(), in_parent: extern "C" fn(), in_child: extern "C" fn()) {
    // SAFETY: the functions are static and take nothing. It fails only for want of memory, and then a fork finds
    // our locks as they are: what it does to any program that uses a mutex.
    _ = unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
}

/// The name of this thread, ended by 0.
pub(crate) fn thread_name() -> [u8; 16] {
    super::call::thread_name()
}

/// The kernel's id of this thread.
pub(crate) fn thread_id() -> i32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::gettid() }
}

const NO_KEY: u32 = u32::MAX;
static KEY: AtomicU32 = AtomicU32::new(NO_KEY);

/// Whether what [`at_thread_end`] was given is called before the destructors of Rust's thread-locals: there these hang on
/// such a key, too, that may have been made later.
pub(crate) const TELLS_ENDS_EARLY: bool = cfg!(target_env = "musl");

/// [`at_thread_end`] may be called from within the allocator.
pub(crate) const NOTES_ENDS_WHILE_ALLOCATING: bool = true;

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

/// Writes `message` to standard error, without a lock or an allocation.
pub(crate) fn warn(message: &str) {
    // SAFETY: reads what it is given.
    unsafe { libc::write(libc::STDERR_FILENO, message.as_ptr().cast(), message.len()) };
}

/// The whole number that an environment variable holds, unless it is empty; `Some(Err)` if what it holds is none. It
/// allocates nothing.
///
/// Whoever calls it first does so before `main`, or where the library is opened that we are in: C has no safe way to
/// read the environment while another thread changes it.
pub(crate) fn number_in_environment(name: &CStr) -> Option<Result<u64, ()>> {
    // SAFETY: the name ends in 0; what is returned stays until somebody changes the variable.
    let value = unsafe { libc::getenv(name.as_ptr()).as_ref() }?;
    // SAFETY: as above: a text that ends in 0.
    let value = unsafe { CStr::from_ptr(value) };
    match value.to_str().map(str::trim) {
        Ok("") => None,
        value => Some(value.ok().and_then(|value| value.parse().ok()).ok_or(())),
    }
}

/// Bytes of the process that are resident, and the most that ever were.
pub(crate) fn resident_memory() -> Option<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/thread-self/status").ok()?;
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    Some((kilobytes("VmRSS:")? << 10, kilobytes("VmHWM:")? << 10))
}

/// What the system allows, as far as profiling meets its bounds.
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server asks"))]
pub(crate) fn limits() -> Vec<Fact> {
    let limit = |resource, name, help| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a good pointer.
        let known = unsafe { libc::getrlimit(resource, &raw mut limit) } == 0;
        known.then(|| Fact::now(name, help, limit.rlim_cur as f64))
    };
    let tick = super::clock::tick();
    let hz = 1_000_000_000_u64.checked_div(tick).map(|hz| hz as f64);
    [
        limit(
            libc::RLIMIT_SIGPENDING,
            "limit_pending_signals",
            "RLIMIT_SIGPENDING: timers of threads, of all processes of this user",
        ),
        limit(libc::RLIMIT_NOFILE, "limit_open_files", "RLIMIT_NOFILE"),
        hz.map(|hz| {
            Fact::now(
                "kernel_tick_hertz",
                "CPU samples a second of a thread that the kernel delivers at most",
                hz,
            )
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The kernel's release, such as `6.1.0-18-amd64`.
pub(crate) fn kernel_release() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|release| release.trim().to_owned())
}
