#![expect(unsafe_code, reason = "passes on a promise that the standard library asks for")]
//! `std::thread`'s ways to start a thread, which note who does.
use std::io;
use std::thread::{self, JoinHandle, Scope, ScopedJoinHandle};

use super::{Creator, creator, not_started, started, starting, table};
use crate::hook::interpose;
use crate::local;
use crate::stack::{self, Frames};

/// A thread that is to be started: what its function takes along.
struct Start(Option<&'static Creator>);

impl Start {
    /// Takes the stack, unless `pthread_create` does, which sees all threads.
    #[inline(never)]
    fn new() -> Start {
        if interpose::is_active() {
            return Start(None);
        }
        let by = local::with(|local| {
            local.enter(|| {
                let mut frames = Frames::new();
                stack::capture(&mut frames, 1);
                creator(&frames)
            })
        });
        let by = by.flatten();
        if by.is_some() {
            starting();
        }
        stack::stay();
        Start(by)
    }

    /// Called by the thread, which is noted.
    fn begin(mut self) -> Running {
        Running(self.0.take().map(started))
    }
}

impl Drop for Start {
    /// The thread could not be had.
    fn drop(&mut self) {
        if self.0.is_some() {
            not_started();
        }
    }
}

/// A thread that was noted, while its function runs.
struct Running(Option<i32>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(tid) = self.0.filter(|_| crate::sys::thread::count().is_none()) {
            table::forget(tid);
        }
    }
}

/// [`std::thread::spawn`], noted in the profile `threadcreate` with this stack for as long as the thread lives.
///
/// `threads` and `goroutine` say who started it, too, with `?debug=2` and with `?tags=id`. With this crate switched off it is
/// that very function.
///
/// ```
/// let worker = profiled::thread::spawn(|| 6 * 7);
/// assert_eq!(worker.join().unwrap(), 42);
/// ```
///
/// # Panics
/// As `std`'s: if the system has no thread to give. [`Builder::spawn`] says so instead.
#[inline(never)]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let start = Start::new();
    let handle = thread::spawn(move || {
        let _running = start.begin();
        f()
    });
    stack::stay();
    handle
}

/// [`std::thread::Builder`], whose threads are in the profile `threadcreate`. With this crate switched off it is that very
/// type.
///
/// ```
/// use profiled::thread::Builder;
///
/// let worker = Builder::new().name("worker".to_owned()).spawn(|| 6 * 7)?;
/// assert_eq!(worker.join().unwrap(), 42);
///
/// let mut sum = 0;
/// std::thread::scope(|scope| {
///     Builder::new().spawn_scoped(scope, || sum += 1).map(drop)
/// })?;
/// assert_eq!(sum, 1);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "it starts nothing by itself"]
pub struct Builder(thread::Builder);

#[expect(clippy::new_without_default, reason = "the standard library's has none")]
impl Builder {
    /// As [`std::thread::Builder::new`].
    pub fn new() -> Builder {
        Builder(thread::Builder::new())
    }

    /// Names the thread. On Linux tools see the first 15 bytes.
    ///
    /// A name with a NUL byte in it makes the thread's start panic, as `std`'s does.
    pub fn name(self, name: String) -> Builder {
        Builder(self.0.name(name))
    }

    /// Bytes of its stack.
    pub fn stack_size(self, size: usize) -> Builder {
        Builder(self.0.stack_size(size))
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// The system's, if it has no thread to give.
    #[inline(never)]
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let start = Start::new();
        let handle = self.0.spawn(move || {
            let _running = start.begin();
            f()
        });
        stack::stay();
        handle
    }

    /// Starts a thread that may borrow what outlives `scope`, that of [`std::thread::scope`].
    ///
    /// # Errors
    /// The system's, if it has no thread to give.
    #[inline(never)]
    pub fn spawn_scoped<'scope, 'env, F, T>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let start = Start::new();
        let handle = self.0.spawn_scoped(scope, move || {
            let _running = start.begin();
            f()
        });
        stack::stay();
        handle
    }

    /// Starts a thread that may borrow anything.
    ///
    /// # Safety
    /// As for [`std::thread::Builder::spawn_unchecked`]: whatever the function borrows outlives the thread.
    ///
    /// # Errors
    /// The system's, if it has no thread to give.
    #[inline(never)]
    pub unsafe fn spawn_unchecked<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        let start = Start::new();
        let run = move || {
            let _running = start.begin();
            f()
        };
        // SAFETY: what `run` borrows is what `f` does, for which the caller answers.
        let handle = unsafe { self.0.spawn_unchecked(run) };
        stack::stay();
        handle
    }
}
