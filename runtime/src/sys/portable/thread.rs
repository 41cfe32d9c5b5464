//! Threads of our own.

/// Runs `f`. There is no portable word for signals, and so none to block.
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server has threads"))]
pub(crate) fn with_signals_blocked<T>(f: impl FnOnce() -> T) -> T {
    f()
}

/// Nobody looks at the process's threads here.
pub(crate) fn note_ours() {}

/// As above.
pub(crate) fn after_fork_in_child() {}

/// Nobody tells; whoever has a number has not given it back.
pub(crate) fn is_there(tid: i32) -> bool {
    tid != 0
}
