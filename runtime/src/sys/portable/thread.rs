//! Threads of our own.

/// Runs `f`. There is no portable word for signals, and so none to block.
pub(crate) fn with_signals_blocked<T>(f: impl FnOnce() -> T) -> T {
    f()
}

/// Nobody looks at the process's threads here.
pub(crate) fn note_ours() {}

/// As above.
pub(crate) fn after_fork_in_child() {}

/// `std` does not tell.
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server asks"))]
pub(crate) fn own_cpu_time() -> Option<u64> {
    None
}

/// Nobody tells what a thread is called but the thread itself.
pub(crate) fn name(_: i32) -> Option<String> {
    None
}

/// Nobody tells.
pub(crate) fn count() -> Option<usize> {
    None
}

/// As above.
pub(crate) fn began() -> Option<Vec<(i32, u64)>> {
    None
}

/// Nobody compares.
pub(crate) fn moment() -> u64 {
    0
}

/// Nobody tells; whoever has a number has not given it back.
pub(crate) fn is_there(tid: i32) -> bool {
    tid != 0
}
