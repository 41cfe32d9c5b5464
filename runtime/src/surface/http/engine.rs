//! The runtimes that answers are made on: one a server, and one for requests that come through `Handler::handle`.
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use ::http::StatusCode;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use super::reply::Refusal;
use crate::local;
use crate::sys::thread::with_signals_blocked;

/// How many threads collect and encode at a time, for one runtime.
const MAX_WORKERS: usize = 16;

/// A runtime that lives on the calling thread. Threads of its pool are started by that thread and inherit its
/// signal mask.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .thread_name("profiled-http-w")
        .on_thread_start(local::serve)
        .max_blocking_threads(MAX_WORKERS)
        .thread_keep_alive(Duration::from_secs(5))
        .build()
}

/// Starts a thread of ours, which no signal of the program's will find.
pub(super) fn start(run: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    let serve = || {
        local::serve();
        run();
    };
    with_signals_blocked(|| thread::Builder::new().name("profiled-http".to_owned()).spawn(serve))
}

/// Runs `work` where it may block. On a runtime of ours only.
pub(super) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|_| failed("it panicked, or the server stops"))
}

fn failed(why: &str) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to collect profile: {why}"))
}

/// Runs `future` on the runtime for requests from elsewhere, whatever the caller runs on. Dropping this ends it.
pub(super) async fn run<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T, Refusal> {
    let handle = shared().map_err(|error| failed(&error.to_string()))?;
    Task(handle.spawn(future)).await
}

struct Task<T>(JoinHandle<T>);

impl<T> Future for Task<T> {
    type Output = Result<T, Refusal>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(|_| failed("it panicked"))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The shared runtime, started when it is first needed, and once more in a forked child, where its thread is gone.
fn shared() -> io::Result<Handle> {
    static SHARED: Mutex<Option<(u32, Handle)>> = Mutex::new(None);
    let process = std::process::id();
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((owner, handle)) = &*shared
        && *owner == process
    {
        return Ok(handle.clone());
    }
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    start(move || match runtime() {
        Ok(runtime) => {
            _ = tell.send(Ok(runtime.handle().clone()));
            runtime.block_on(std::future::pending::<()>());
        }
        Err(error) => _ = tell.send(Err(error)),
    })?;
    let handle = told.recv().map_err(io::Error::other)??;
    // The parent's handle is not ours to drop: it would wake the parent.
    std::mem::forget(shared.replace((process, handle.clone())));
    Ok(handle)
}

/// Whichever is ready first.
pub(super) enum Either<A, B> {
    First(A),
    Second(B),
}

/// Waits for one of two, `a` preferred.
pub(super) async fn race<A: Future, B: Future>(a: A, b: B) -> Either<A::Output, B::Output> {
    let (mut a, mut b) = (pin!(a), pin!(b));
    std::future::poll_fn(|cx| match a.as_mut().poll(cx) {
        Poll::Ready(a) => Poll::Ready(Either::First(a)),
        Poll::Pending => b.as_mut().poll(cx).map(Either::Second),
    })
    .await
}
