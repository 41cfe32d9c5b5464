//! A trap for debug builds: what a signal handler must never do ends the process if a handler of ours does it.
//!
//! The handler marks its thread. The allocator, the locks and whoever replaces the unwind tables look at the mark, and
//! abort with a message of fixed text: better that, in a test, than a deadlock once a year in production. In release
//! builds all of this is nothing; what the handler reaches there is read off the machine code by
//! `tests/tools/handler_closure.py`.
use std::cell::Cell;

use crate::sys;

thread_local! {
    // Handlers and allocators touch it: constant, without a destructor.
    static IN_HANDLER: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`, the part of a signal handler that is ours. A handler of the program's that it chains to is not.
#[inline(always)]
pub(crate) fn handler<R>(f: impl FnOnce() -> R) -> R {
    if !cfg!(debug_assertions) {
        return f();
    }
    let outer = IN_HANDLER.replace(true);
    let result = f();
    IN_HANDLER.set(outer);
    result
}

/// Ends the process if this is called within [`handler`], in a debug build.
#[inline(always)]
pub(crate) fn not_in_handler(message: &'static str) {
    if cfg!(debug_assertions) && IN_HANDLER.get() {
        sys::process::die(message);
    }
}

/// What is written then.
pub(crate) const ALLOCATES: &str = "profiled: a signal handler of the profiler's allocates or frees memory\n";
pub(crate) const LOCKS: &str = "profiled: a signal handler of the profiler's takes a lock\n";
pub(crate) const PUBLISHES: &str = "profiled: a signal handler of the profiler's replaces unwind tables\n";

// The portable backend has no signal handlers.
#[cfg(all(test, not(profiled_portable)))]
pub(crate) mod tests {
    use super::*;
    use crate::Allocator;
    use crate::fork::Lock;
    use std::alloc::{GlobalAlloc, Layout};
    use std::io::Read;
    use std::os::fd::FromRawFd;

    /// Runs `f` in a forked child: the signal that ended it, or 0, and what it wrote to standard error.
    #[expect(unsafe_code, reason = "forks")]
    pub(crate) fn fate(f: impl FnOnce()) -> (i32, String) {
        let mut ends = [0; 2];
        // SAFETY: two descriptors of our own; the child writes to one of them and touches nothing that the other
        // threads of this process may have been holding.
        unsafe {
            assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
            let child = libc::fork();
            assert!(child >= 0);
            if child == 0 {
                libc::alarm(60);
                libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 });
                libc::dup2(ends[1], 2);
                f();
                libc::_exit(0);
            }
            libc::close(ends[1]);
            let mut written = String::new();
            std::fs::File::from_raw_fd(ends[0]).read_to_string(&mut written).unwrap();
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
            (if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { 0 }, written)
        }
    }

    /// How a child ends that met the trap in this build.
    pub(crate) fn trapped(message: &str) -> (i32, String) {
        if cfg!(debug_assertions) { (libc::SIGABRT, message.to_owned()) } else { (0, String::new()) }
    }

    #[expect(unsafe_code, reason = "calls an allocator by hand")]
    fn each(check: impl Fn(&str, &dyn Fn())) {
        let allocator = Allocator::system();
        let layout = Layout::new::<[u64; 8]>();
        // SAFETY: a proper layout, and blocks of that very allocator.
        let (old, older) = unsafe { (allocator.alloc(layout), allocator.alloc(layout)) };
        // SAFETY: as above.
        check(ALLOCATES, &|| _ = std::hint::black_box(unsafe { allocator.alloc(layout) }));
        // SAFETY: as above.
        check(ALLOCATES, &|| _ = std::hint::black_box(unsafe { allocator.alloc_zeroed(layout) }));
        // SAFETY: as above; each child does it once.
        check(ALLOCATES, &|| _ = std::hint::black_box(unsafe { allocator.realloc(old, layout, 100) }));
        // SAFETY: as above.
        check(ALLOCATES, &|| unsafe { allocator.dealloc(older, layout) });
        let lock = Lock::new(0);
        check(LOCKS, &|| *lock.lock() += 1);
        // Known already: nothing but its own look stands between the handler and the lock.
        let profiled = crate::sync::Mutex::new(0);
        *profiled.lock().unwrap() += 1;
        check(LOCKS, &|| *profiled.lock().unwrap() += 1);
        check(LOCKS, &|| *profiled.try_lock().unwrap() += 1);
        crate::stack::prepare();
        check(PUBLISHES, &|| crate::stack::prepare());
    }

    #[test]
    fn what_a_handler_must_not_do_ends_a_debug_build() {
        each(|message, act| assert_eq!(fate(|| handler(act)), trapped(message)));
        // Whoever finds a lock held would wait for ever: the trap comes first.
        let held = crate::sync::Mutex::new(0);
        let _guard = held.lock();
        if cfg!(debug_assertions) {
            assert_eq!(fate(|| handler(|| drop(held.lock()))), trapped(LOCKS));
        }
    }

    #[test]
    fn elsewhere_it_may_be_done() {
        each(|message, act| {
            assert_eq!(fate(act), (0, String::new()), "never in a handler: {message}");
            let after = || {
                handler(|| handler(|| ()));
                act();
            };
            assert_eq!(fate(after), (0, String::new()), "after the handler: {message}");
        });
    }

    #[test]
    fn a_handler_in_a_handler_leaves_the_mark() {
        let nested = || {
            handler(|| {
                handler(|| ());
                not_in_handler(LOCKS);
            });
        };
        assert_eq!(fate(nested), trapped(LOCKS));
    }
}
