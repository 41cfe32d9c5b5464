//! The listener: a thread, a runtime on it, and bounds on everything that a client can make it hold.
use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use ::http::{StatusCode, header};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::addr::{Addr, Target};
use super::engine::{self, Either, race};
use super::handler::Rules;
use super::listener::{self, Listener, Socket, SocketFile, Stream};
use super::reply::{self, Refusal};
use super::{collect, plan};
use crate::error::{Error, Result};

/// What one client, and all together, may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) connections: usize,
    /// Bytes of a request's line and headers.
    pub(super) header: usize,
    /// For a request's headers to arrive, counted from the one before.
    pub(super) arrival: Duration,
    /// For a request's body to arrive.
    pub(super) body: Duration,
    /// Without a byte in either direction while we are not at work.
    pub(super) stall: Duration,
    /// For what is under way when the server stops.
    pub(super) grace: Duration,
}

pub(super) const LIMITS: Limits = Limits {
    connections: 256,
    header: 16 << 10,
    arrival: Duration::from_secs(20),
    body: Duration::from_secs(10),
    stall: Duration::from_secs(30),
    grace: Duration::from_secs(1),
};

/// A running server. Dropping it stops it: windows end, answers that are nearly done are finished, the address is
/// free again.
#[must_use = "dropping it stops the server"]
pub struct Server {
    addr: Addr,
    /// After a fork there is no thread in the child, and nothing for it to stop.
    process: u32,
    /// There until it is dropped.
    stop: Option<watch::Sender<bool>>,
    /// Closed once the thread is over. The mutex is never locked: it makes a server `Sync`.
    stopped: Mutex<mpsc::Receiver<()>>,
    thread: Option<JoinHandle<()>>,
    file: Option<SocketFile>,
    patience: Duration,
}

impl Server {
    /// Where it listens; with the port that was chosen, if any was asked for.
    pub fn local_addr(&self) -> &Addr {
        &self.addr
    }

    /// Lets it run for as long as the process does.
    pub fn detach(self) {
        std::mem::forget(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            // To wake the runtime would wake the parent's, and the thread to wait for is not here.
            std::mem::forget((self.stop.take(), self.thread.take()));
            return;
        }
        if let Some(file) = &self.file {
            file.remove();
        }
        if let Some(stop) = &self.stop {
            stop.send_replace(true);
        }
        // The sender goes away when the thread ends, however it does. A thread that does not is left behind.
        let ended =
            self.stopped.get_mut().unwrap_or_else(PoisonError::into_inner).recv_timeout(self.patience);
        if ended != Err(mpsc::RecvTimeoutError::Timeout)
            && let Some(thread) = self.thread.take()
        {
            _ = thread.join();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addr", &self.addr).finish_non_exhaustive()
    }
}

pub(super) fn serve(rules: Arc<Rules>, target: Target) -> Result<Server> {
    start(rules, target, LIMITS)
}

pub(super) fn start(rules: Arc<Rules>, target: Target, limits: Limits) -> Result<Server> {
    if rules.token.as_ref().is_some_and(String::is_empty) {
        return Err(Error::Invalid { what: "token (it is empty)", value: String::new() });
    }
    let (bound, addr) = listener::bind(target, rules.remote)?;
    let file = SocketFile::of(&addr);
    let (stop, stopping) = watch::channel(false);
    let (tell, started) = mpsc::sync_channel(1);
    let (ended, stopped) = mpsc::sync_channel(0);
    let thread = engine::start(move || {
        let _ended: mpsc::SyncSender<()> = ended;
        let runtime = match engine::runtime() {
            Ok(runtime) => runtime,
            Err(error) => {
                _ = tell.send(Err(error));
                return;
            }
        };
        runtime.block_on(async {
            match Listener::new(bound) {
                Ok(listener) => {
                    _ = tell.send(Ok(()));
                    run(listener, rules, stopping, limits).await;
                }
                Err(error) => _ = tell.send(Err(error)),
            }
        });
        runtime.shutdown_timeout(limits.grace);
    })?;
    started.recv().map_err(std::io::Error::other)??;
    let (process, patience) = (std::process::id(), limits.grace * 3);
    let stopped = Mutex::new(stopped);
    Ok(Server { addr, process, stop: Some(stop), stopped, thread: Some(thread), file, patience })
}

/// Accepts until told to stop, then gives what is under way a moment.
async fn run(listener: Listener, rules: Arc<Rules>, mut stop: watch::Receiver<bool>, limits: Limits) {
    let places = Arc::new(Semaphore::new(limits.connections));
    while let Either::Second(accepted) = race(stopped(&mut stop), listener.accept()).await {
        let Ok(stream) = accepted else {
            // No descriptors, or a client that gave up again: neither is a reason to stop, the former one to wait.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        match places.clone().try_acquire_owned() {
            Ok(place) => {
                let (rules, stop) = (rules.clone(), stop.clone());
                tokio::spawn(async move {
                    let _place = place;
                    connection(stream, rules, stop, limits).await;
                });
            }
            Err(_) => turn_away(&stream),
        }
    }
    drop(listener);
    _ = timeout(limits.grace, places.acquire_many(limits.connections as u32)).await;
}

/// There is no place for another connection.
fn turn_away(stream: &Stream) {
    let text = "too many connections; try again later\n";
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nX-Go-Pprof: 1\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    _ = stream.try_write(answer.as_bytes());
}

/// Resolves once the server is told to stop, or is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    _ = stop.wait_for(|&stop| stop).await;
}

async fn connection(stream: Stream, rules: Arc<Rules>, mut stop: watch::Receiver<bool>, limits: Limits) {
    let (stream, moved, busy) =
        (Arc::new(stream), Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
    let socket = TokioIo::new(Socket { stream: stream.clone(), moved: moved.clone() });
    let service = {
        let (busy, stop) = (busy.clone(), stop.clone());
        service_fn(move |request: ::http::Request<hyper::body::Incoming>| {
            let (rules, stream, mut stop) = (rules.clone(), stream.clone(), stop.clone());
            let working = Working::new(&busy);
            async move {
                let _working = working;
                let (parts, body) = request.into_parts();
                let answer = async {
                    let plan = plan::plan(&rules, &parts)?;
                    let body = match plan.wants_body() {
                        true => timeout(limits.body, reply::read(body)).await.map_err(|_| slow())??,
                        false => Default::default(),
                    };
                    let gone = async {
                        match race(stopped(&mut stop), stream.hung_up()).await {
                            Either::First(()) => {
                                Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server stops")
                            }
                            Either::Second(()) => slow(),
                        }
                    };
                    collect::answer(plan, body, gone).await
                };
                Ok::<_, Infallible>(answer.await.unwrap_or_else(Refusal::into_response))
            }
        })
    };
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.arrival)
            .max_header_size(limits.header)
            .max_buf_size(limits.header.max(64 << 10))
            // We look for a hang-up ourselves: hyper would miss it behind a pipelined request, and end answers
            // that are a moment away.
            .half_close(true)
            .serve_connection(socket, service)
    );
    let stalled = async {
        loop {
            let before = moved.load(Ordering::Relaxed);
            tokio::time::sleep(limits.stall).await;
            if busy.load(Ordering::Relaxed) == 0 && moved.load(Ordering::Relaxed) == before {
                return;
            }
        }
    };
    let end = race(stopped(&mut stop), stalled);
    if let Either::Second(Either::First(())) = race(connection.as_mut(), end).await {
        connection.as_mut().graceful_shutdown();
        _ = timeout(limits.grace, connection).await;
    }
}

fn slow() -> Refusal {
    let text = "the client closed its side, or its request did not arrive in time";
    Refusal::new(StatusCode::REQUEST_TIMEOUT, text).with(header::CONNECTION, "close")
}

/// A request is being answered.
struct Working(Arc<AtomicUsize>);

impl Working {
    fn new(busy: &Arc<AtomicUsize>) -> Working {
        busy.fetch_add(1, Ordering::Relaxed);
        Working(busy.clone())
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
