//! What programs call.
use std::fmt::{self, Write as _};
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::task::{Context, Poll};

use super::event::{Encoder, TaskId};
use super::session::{Output, Summary};
use super::text::Text;
use super::{go, hub, perfetto, record};
use crate::error::Result;
use crate::{fork, local, stack};

/// What a trace is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Go's execution trace: for `go tool trace`, and what else reads those of Go 1.23.
    Go,
    /// Perfetto's protobuf: for <https://ui.perfetto.dev>.
    Perfetto,
}

impl Format {
    pub(super) fn encoder(self) -> Box<dyn Encoder> {
        match self {
            Format::Go => Box::new(go::Go::new()),
            Format::Perfetto => Box::new(perfetto::Perfetto::new()),
        }
    }
}

/// Records from now on what happens, and writes it to `w`, until the result is stopped or dropped.
///
/// Any number of sessions may run at once, each with a format and a writer of its own. Writers are called on one thread of
/// ours, about once a second or when there is a megabyte: one that is slow for longer holds up the others, too, and once
/// 32 MB of events are waiting, events are dropped and counted. No thread of the program ever waits for a writer.
///
/// # Errors
/// `Io` if there is no thread to be had. What the writer says is told by [`stop`](Session::stop).
pub fn start(w: impl io::Write + Send + 'static, format: Format) -> Result<Session> {
    let number = hub::begin(format.encoder(), Output::Writer(Box::new(w)))?;
    Ok(Session { number: Some(number), process: fork::generation() })
}

/// Whether anything is recorded now. A moment's news.
#[inline]
pub fn is_enabled() -> bool {
    record::is_on()
}

/// A recording that goes on. Dropped, it ends as with [`stop`](Self::stop), and nobody hears of errors.
#[must_use = "dropping it ends the recording"]
pub struct Session {
    number: Option<u64>,
    /// See [`fork::generation`].
    process: u32,
}

impl Session {
    /// Ends the recording: everything that happened before this call is written, and the writer dropped, when it returns.
    ///
    /// # Errors
    /// `Io` with the first error of the writer: what came after that is not written. The same in a forked child, to which no
    /// recording belongs.
    pub fn stop(mut self) -> Result<Summary> {
        self.end()
    }

    fn end(&mut self) -> Result<Summary> {
        let Some(number) = self.number.take() else { return Ok(Summary::default()) };
        if self.process != fork::generation() {
            return Err(io::Error::other("this process was forked, and the recording is not its own").into());
        }
        let (answer, answered) = mpsc::channel();
        hub::end(number, answer);
        // It is our own wait.
        let answer = local::with(|local| local.aside(|| answered.recv()));
        Ok(answer.map_err(|_| io::Error::other("the thread that writes traces is gone"))??)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        _ = self.end();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// Begins a task: an operation of the program's, such as a request, that may go over threads and futures. It ends when the
/// result is dropped. The tasks, regions and messages of this thread belong to it until then, and to the one around it
/// afterwards; elsewhere what is in [`in_scope`](Task::in_scope) or [`instrument`](Task::instrument)ed.
///
/// Costs nothing but a number as long as nobody records.
#[inline(never)]
pub fn task(name: &'static str) -> Task {
    // Ids are given out anyway: a task that lasts may be seen by a recording that begins later.
    let id = record::new_task();
    let around = record::set_task(id);
    if record::is_on() {
        let stack = here();
        stack::stay();
        record::user_task_begins(id, around, name, stack);
    }
    Task { id, around, name, thread: local::with(std::ptr::from_ref).addr(), ended: AtomicBool::new(false) }
}

/// The stack of who called whoever calls this.
#[inline(never)]
fn here() -> Option<crate::store::Stack> {
    let stack = {
        let _inside = local::Inside::enter()?;
        stack::capture_interned(1)
    };
    stack::stay();
    Some(stack)
}

/// A task that goes on: see [`task`].
#[must_use = "dropping it ends the task"]
pub struct Task {
    id: TaskId,
    around: TaskId,
    name: &'static str,
    /// Which it began on.
    thread: usize,
    ended: AtomicBool,
}

impl Task {
    /// Runs `f` in this task, on whatever thread.
    pub fn in_scope<R>(&self, f: impl FnOnce() -> R) -> R {
        let _within = Within::enter(self.id);
        f()
    }

    /// Has `future` in this task whenever it is polled, on whatever thread. It may outlive the task.
    pub fn instrument<F: Future>(&self, future: F) -> InTask<F> {
        InTask { task: self.id, future }
    }

    fn end(&self) {
        if self.ended.swap(true, Relaxed) {
            return;
        }
        if local::with(std::ptr::from_ref).addr() == self.thread && record::task() == self.id {
            record::set_task(self.around);
        }
        record::user_task_ends(self.id, self.name, None);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}

/// This thread is in a task, until this is dropped.
struct Within(TaskId);

impl Within {
    fn enter(task: TaskId) -> Within {
        Within(record::set_task(task))
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        record::set_task(self.0);
    }
}

/// A future in a task: what [`Task::instrument`] makes.
#[must_use = "futures do nothing unless they are polled"]
pub struct InTask<F> {
    task: TaskId,
    future: F,
}

impl<F: Future> Future for InTask<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _within = Within::enter(self.task);
        super::pin::future(self, |this| &mut this.future).poll(cx)
    }
}

impl<F> fmt::Debug for InTask<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InTask").field("task", &self.task).finish_non_exhaustive()
    }
}

/// Begins a region: a stretch of this thread, in the [`task`] that the thread is in. It ends when the result is dropped.
/// Regions are nested; one that is dropped while a later one goes on ends that one, too, in the trace.
#[inline]
pub fn region(name: &'static str) -> Region {
    if !record::is_on() {
        return Region { name, begun: false, here: PhantomData };
    }
    record::region_begins(record::task(), name);
    Region { name, begun: true, here: PhantomData }
}

/// A region that goes on: see [`region`]. It belongs to its thread.
#[must_use = "dropping it ends the region at once"]
pub struct Region {
    name: &'static str,
    /// Unless nobody recorded then: it stays silent.
    begun: bool,
    here: PhantomData<*const ()>,
}

impl Drop for Region {
    #[inline]
    fn drop(&mut self) {
        if self.begun {
            record::region_ends();
        }
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Notes a message at this moment, in the [`task`] that the thread is in. Of one that is longer than 1 024 bytes the rest is
/// left out, and it ends in an ellipsis. See the macro [`log!`](crate::trace::log!) for one with arguments.
#[inline]
pub fn log(category: &'static str, message: &str) {
    if record::is_on() {
        record::log(record::task(), category, message);
    }
}

/// [`log`] with a message that is put together here, and only while somebody records. What `trace::log!` calls.
#[doc(hidden)]
#[inline(never)]
pub fn log_formatted(category: &'static str, message: fmt::Arguments<'_>) {
    let mut text = Text::new();
    // A `Display` that fails leaves what it wrote before.
    _ = text.write_fmt(message);
    log(category, text.as_str());
}
