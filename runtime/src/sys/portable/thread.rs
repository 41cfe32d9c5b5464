//! Threads of our own.

/// Runs `f`. There is no portable word for signals, and so none to block.
pub(crate) fn with_signals_blocked<T>(f: impl FnOnce() -> T) -> T {
    f()
}
