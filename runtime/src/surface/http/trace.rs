//! `/debug/pprof/trace`: records for a while, and sends what is recorded while it records.
//!
//! What waits for the client is bounded: one that reads too slowly is cut off, and has what was complete by then. Dropping the
//! body ends the recording at once.
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{SemaphorePermit, oneshot};

use super::engine::off_thread;
use super::params::Params;
use super::reply::Refusal;
use crate::trace::{self, Format};

/// Bytes that wait for a client at the most.
const MOST: usize = 64 << 20;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Request {
    length: Duration,
    format: Format,
}

impl Request {
    /// `seconds`, 1 if it says nothing, and `format`.
    pub(super) fn parse(params: &Params) -> Result<Request, Refusal> {
        params.debug()?;
        let format = params.trace_format()?;
        Ok(Request { length: params.seconds()?.unwrap_or(Duration::from_secs(1)), format })
    }

    /// What the answer is to be saved as: Go's name for Go's format.
    pub(super) fn file(&self) -> String {
        match self.format {
            Format::Perfetto => "trace.pftrace".to_owned(),
            _ => "trace".to_owned(),
        }
    }

    /// Begins to record. What is recorded comes as the chunks of a body.
    pub(super) async fn start(self, permit: SemaphorePermit<'static>) -> Result<Chunks, Refusal> {
        let (to, from) = unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let writer = Sender { to, waiting: Arc::clone(&waiting) };
        let format = self.format;
        let begun = off_thread(move || trace::start(writer, format)).await?;
        let session = begun.map_err(|error| Refusal::from(error).during("Could not enable tracing"))?;
        let (here, gone) = oneshot::channel::<()>();
        tokio::spawn(async move {
            // Until the time is over, or nobody is there any more.
            _ = tokio::time::timeout(self.length, gone).await;
            _ = off_thread(move || {
                let _permit = permit;
                // Its error is that the client went away, and nobody is there to be told.
                _ = session.stop();
            })
            .await;
        });
        Ok(Chunks { from, waiting, _here: here })
    }
}

/// Where the session writes to.
struct Sender {
    to: UnboundedSender<Bytes>,
    waiting: Arc<AtomicUsize>,
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.waiting.fetch_add(bytes.len(), Relaxed) > MOST {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads too slowly"));
        }
        self.to.send(Bytes::copy_from_slice(bytes)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was recorded, as it comes.
pub(super) struct Chunks {
    from: UnboundedReceiver<Bytes>,
    waiting: Arc<AtomicUsize>,
    /// Dropped, the recording ends.
    _here: oneshot::Sender<()>,
}

impl Chunks {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let polled = self.from.poll_recv(cx);
        if let Poll::Ready(Some(bytes)) = &polled {
            self.waiting.fetch_sub(bytes.len(), Relaxed);
        }
        polled
    }
}
