#![expect(unsafe_code, reason = "calls back with the pointer it was given")]
//! The process and the ends of its threads.
use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicI32, Ordering};

/// `std` knows of no fork: a forked child may find locks of ours held for ever, and must not ask for profiles.
pub(crate) fn at_fork(_: extern "C" fn(), _: extern "C" fn(), _: extern "C" fn()) {}

/// The name of this thread, ended by 0: not known here.
pub(crate) fn thread_name() -> [u8; 16] {
    [0; 16]
}

/// A number that no other thread has. Asked again, the same thread gets another.
pub(crate) fn thread_id() -> i32 {
    static NEXT: AtomicI32 = AtomicI32::new(1);
    // After two thousand million it begins again, without the 0 and what is below.
    NEXT.fetch_add(1, Ordering::Relaxed).checked_abs().unwrap_or(1).max(1)
}

/// What is to be called when its thread ends.
struct AtEnd(Cell<Option<(*mut c_void, unsafe extern "C" fn(*mut c_void))>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        if let Some((value, ended)) = self.0.take() {
            // SAFETY: `at_thread_end` was given the two together.
            unsafe { ended(value) };
        }
    }
}

thread_local! {
    static AT_END: AtEnd = const { AtEnd(Cell::new(None)) };
}

/// What [`at_thread_end`] was given is called among the other destructors of thread-locals, once.
pub(crate) const TELLS_ENDS_EARLY: bool = false;

/// [`at_thread_end`] must not be called from within the allocator.
pub(crate) const NOTES_ENDS_WHILE_ALLOCATING: bool = false;

/// Has `ended` called with `value` when this thread ends, among its other thread-locals. `false`: it is ending already.
///
/// The first call on a thread may allocate, to note the destructor. The caller is inside ourselves, so that hooks only
/// forward that; it is never the allocator's hook, which may have been called by this very noting.
pub(crate) fn at_thread_end(value: *mut c_void, ended: unsafe extern "C" fn(*mut c_void)) -> bool {
    AT_END.try_with(|at_end| at_end.0.set(Some((value, ended)))).is_ok()
}

/// Writes `message` to standard error.
pub(crate) fn warn(message: &str) {
    _ = std::io::Write::write_all(&mut std::io::stderr(), message.as_bytes());
}

/// The whole number that an environment variable holds, unless it is empty; `Some(Err)` if what it holds is none.
pub(crate) fn number_in_environment(name: &CStr) -> Option<Result<u64, ()>> {
    let value = std::env::var_os(name.to_str().ok()?)?;
    match value.to_str().map(str::trim) {
        Some("") => None,
        value => Some(value.and_then(|value| value.parse().ok()).ok_or(())),
    }
}

/// `std` does not tell.
pub(crate) fn resident_memory() -> Option<(u64, u64)> {
    None
}

/// `std` does not tell.
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server asks"))]
pub(crate) fn limits() -> Vec<crate::record::Fact> {
    Vec::new()
}

/// `std` does not tell.
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server asks"))]
pub(crate) fn kernel_release() -> Option<String> {
    None
}

/// Writes `message` to standard error and aborts. No signal handler of ours exists here that could be at fault.
pub(crate) fn die(message: &str) -> ! {
    eprint!("{message}");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    unsafe extern "C" fn ended(value: *mut c_void) {
        // SAFETY: the counter of the test below, which waits for the thread.
        unsafe { &*value.cast_const().cast::<AtomicUsize>() }.fetch_add(1, Ordering::Relaxed);
    }

    #[test]
    fn the_end_of_a_thread_is_told_once() {
        let count = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                for _ in 0..2 {
                    assert!(at_thread_end((&raw const count).cast_mut().cast(), ended));
                }
                count.load(Ordering::Relaxed)
            });
            assert_eq!(thread.join().unwrap(), 0, "not before");
        });
        // To join a thread is to wait for its destructors, too.
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }
}
