//! For those who want to be told: threads of ours that look every so often.
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, Thread};
use std::time::Duration;
use std::{fmt, io};

use crate::local;
use crate::sys;

/// Looks, and tells, until it is dropped.
///
/// Dropping it waits for nobody, and may be done anywhere, in the callback, too: no other call is begun after it, but one
/// that is under way goes on.
#[must_use = "dropping it ends the watch"]
pub struct Watch {
    ended: Arc<AtomicBool>,
    thread: Option<Thread>,
}

/// Has a thread of this name `look` at `subject` every so often and `tell` of each thing that is found. It holds no lock of
/// ours when it tells; a panic of `tell` ends the call and nothing else.
pub(super) fn start<T>(
    name: &str,
    subject: &str,
    every: Duration,
    look: impl FnMut() -> Vec<T> + Send + 'static,
    tell: impl Fn(&T) + Send + Sync + 'static,
) -> Watch {
    let ended = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&ended);
    let thread = spawn(name, move || {
        sys::thread::note_ours();
        attend(every, &theirs, look, &tell);
    });
    if let Err(error) = &thread {
        eprintln!("profiled: no thread to watch for {subject}: {error}");
    }
    Watch { ended, thread: thread.ok() }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
    let builder = thread::Builder::new().name(name.to_owned());
    let handle =
        local::with(|local| local.aside(|| sys::thread::with_signals_blocked(|| builder.spawn(run))))?;
    Ok(handle.thread().clone())
}

fn attend<T>(every: Duration, ended: &AtomicBool, mut look: impl FnMut() -> Vec<T>, tell: &impl Fn(&T)) {
    while !ended.load(Relaxed) {
        for found in local::with(|local| local.aside(&mut look)) {
            if ended.load(Relaxed) {
                return;
            }
            // The hook for panics has told of it.
            _ = panic::catch_unwind(AssertUnwindSafe(|| tell(&found)));
        }
        if !ended.load(Relaxed) {
            local::with(|local| local.aside(|| thread::park_timeout(every)));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("watches", &self.thread.is_some()).finish_non_exhaustive()
    }
}
