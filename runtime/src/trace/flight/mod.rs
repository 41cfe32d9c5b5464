//! The flight recorder: the last seconds of the program, whenever somebody wants them.
#[cfg(feature = "http")]
mod ask;
mod live;
mod ring;
mod snapshot;
mod trigger;
mod watch;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::api::Format;
use super::hub;
use super::session::{Output, Summary};
use crate::error::{Error, Result};
use crate::{fork, local, sys};

#[cfg(feature = "http")]
pub(crate) use ask::{Answer, Nobody, facts, find};
pub(super) use live::Live;
pub(super) use ring::Kept;
use ring::{Bounds, LEAST_BYTES};
pub use snapshot::{Cause, Snapshot};
pub(super) use trigger::after_fork_in_child;
use trigger::{On, Shared, Target, Trigger};

/// How long [`FlightRecorder::stop`] waits for snapshots that are being delivered.
const PATIENCE: Duration = Duration::from_secs(10);

/// Records all the time, and keeps the last seconds: a trace of what led to something is there when it has happened.
///
/// ```standalone_crate
/// use std::time::Duration;
/// use profiled::trace::{self, FlightRecorder};
///
/// # let folder = std::env::temp_dir();
/// let recorder = FlightRecorder::builder()
///     .min_age(Duration::from_secs(20))
///     .on_slow(Duration::from_millis(500), folder.join("slow.trace"))
///     .start()?;
/// {
///     let _request = trace::task("request"); // takes less than that
/// }
/// let mut bytes = Vec::new();
/// let summary = recorder.write_to(&mut bytes)?;
/// assert_eq!((summary.events, summary.bytes), (2, bytes.len() as u64));
/// recorder.stop()?;
/// # Ok::<(), profiled::Error>(())
/// ```
///
/// # What it keeps
/// What is recorded is put into the [`Format`] at once, in generations that can each be read without the others: of a second,
/// or a quarter of [`min_age`](Builder::min_age) or of [`max_bytes`](Builder::max_bytes), whichever is less. The oldest
/// goes when it is older than the one, or when there is no room for one event more within the other. That bound is exact: it
/// holds after every event, for all that is kept and for the generation that is being made. It is of the trace's bytes; names
/// and stacks are kept once, as [`trace::start`](super::start) keeps them. A snapshot has what it was taken of for as long as
/// it lives, whatever goes meanwhile.
///
/// Each generation says anew which futures there are, in some 20 bytes each in Go's format. Where that would come to more than
/// a quarter of the bytes the recorder begins anew, knowing only what is seen from then on; [`Status::restarts`] counts that.
///
/// # Snapshots
/// [`write_to`](Self::write_to) writes what is kept, while recording goes on. So does
/// `GET /debug/pprof/flightrecorder`. [`Builder`] has triggers: something slow, a panic, a signal,
/// `POST /debug/pprof/flightrecorder`; each writes to a file, or calls what it was given. Files are written beside their
/// place and renamed when they are whole, so that the last snapshot takes the place of the one before. All of that happens on
/// a thread `profiled-flight`, one after the other; no lock of this crate's is held meanwhile. Each trigger does so at most
/// once in [`at_most_every`](Builder::at_most_every), and not while its last snapshot is being delivered; how often it
/// was held back is in [`Status::suppressed`], in [`Summary::suppressed`], and on the page `status`.
///
/// Any number of recorders may run, beside each other and beside [`trace::start`](super::start). HTTP asks the one that was
/// started last, of those with the format that is asked for.
#[must_use = "dropping it ends the recording"]
pub struct FlightRecorder {
    shared: Arc<Shared>,
    /// Who delivers snapshots of triggers.
    delivery: Option<JoinHandle<()>>,
    /// See [`fork::generation`].
    process: u32,
    is_over: bool,
}

impl FlightRecorder {
    /// 10 seconds and 10 MiB of Go's format, without triggers.
    pub fn builder() -> Builder {
        Builder {
            age: Duration::from_secs(10),
            bytes: 10 << 20,
            format: Format::Go,
            interval: Duration::from_secs(10),
            triggers: Vec::new(),
        }
    }

    /// Writes what is kept to `w`: everything that happened before this call, as far back as the bounds let it. Recording
    /// goes on meanwhile, and nothing waits for `w`.
    ///
    /// If a writer of another recording has been busy for 10 s, what is not in a complete generation yet is left out.
    ///
    /// # Errors
    /// `Io` with the first error of `w`. Nothing is lost with it: whoever calls this again has all that is kept then. The
    /// same in a forked child, to which no recording belongs.
    pub fn write_to(&self, w: impl io::Write) -> Result<Summary> {
        self.check()?;
        self.shared.asked(Cause::Asked).write_to(w)
    }

    /// How it is.
    pub fn status(&self) -> Status {
        Status::of(&self.shared)
    }

    /// Ends it. Snapshots of triggers that have fired are delivered first, for which it waits 10 s at the most.
    ///
    /// # Errors
    /// `Io` with the first error of a delivery: a file that could not be written, something called that panicked; or, if
    /// there was none, that they took too long. The same in a forked child, to which no recording belongs.
    pub fn stop(mut self) -> Result<()> {
        self.check()?;
        let begin = Instant::now();
        if let Some(ended) = self.end() {
            _ = local::with(|local| local.aside(|| ended.recv_timeout(PATIENCE)));
        }
        trigger::unregister(&self.shared);
        if let Some(delivery) = self.delivery.take()
            && delivery.thread().id() != thread::current().id()
        {
            local::with(|local| {
                local.aside(|| {
                    while !delivery.is_finished() && begin.elapsed() < PATIENCE {
                        thread::sleep(Duration::from_millis(2));
                    }
                });
            });
            if !delivery.is_finished() {
                return Err(self.shared.take_failure().unwrap_or(io::ErrorKind::TimedOut.into()).into());
            }
        }
        self.shared.take_failure().map_or(Ok(()), |error| Err(error.into()))
    }

    fn check(&self) -> Result<()> {
        if self.process == fork::generation() {
            return Ok(());
        }
        Err(io::Error::other("this process was forked, and the flight recorder is not its own").into())
    }

    /// Nothing is recorded from here on. Who waits is told when the hub knows.
    fn end(&mut self) -> Option<Receiver<io::Result<Summary>>> {
        if std::mem::replace(&mut self.is_over, true) {
            return None;
        }
        let (answer, ended) = channel();
        hub::end(self.shared.session.load(Relaxed), answer);
        Some(ended)
    }
}

impl Drop for FlightRecorder {
    fn drop(&mut self) {
        if self.check().is_ok() {
            self.end();
            trigger::unregister(&self.shared);
        } else {
            // The parent's thread.
            std::mem::forget(self.delivery.take());
        }
    }
}

impl fmt::Debug for FlightRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlightRecorder").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// What a flight recorder keeps, and what has it take snapshots: see [`FlightRecorder`].
#[must_use = "nothing is recorded until `start`"]
pub struct Builder {
    age: Duration,
    bytes: usize,
    format: Format,
    interval: Duration,
    triggers: Vec<(On, Target)>,
}

impl Builder {
    /// Keeps what is younger, if there is room. Default: 10 s. The oldest generation has, besides, up to a second that is
    /// older.
    pub fn min_age(self, d: Duration) -> Self {
        Builder { age: d, ..self }
    }

    /// Keeps no more bytes than that. Default: 10 MiB; 1 MiB at the least. It goes before the age.
    pub fn max_bytes(self, n: usize) -> Self {
        Builder { bytes: n, ..self }
    }

    /// What snapshots are written as. Default: Go's.
    pub fn format(self, f: Format) -> Self {
        Builder { format: f, ..self }
    }

    /// The time between two snapshots of one trigger, at the least. Default: 10 s. Triggers that come earlier are counted.
    pub fn at_most_every(self, d: Duration) -> Self {
        Builder { interval: d, ..self }
    }

    /// Writes a snapshot to `path` when a [`region`](super::region), a [`task`](super::task), a call of a
    /// [`#[profiled]`](crate::profiled) function or a poll of such a future ends that took `threshold` or longer.
    ///
    /// The snapshot has all of it, from its begin to its end, if that is not more than the recorder keeps. It is taken when the
    /// regions, calls, polls and tasks are over, too, that it is in; a second later if they last, and at once if its begin
    /// would be lost. So of a request that is slow because of something in it, the whole request is there.
    pub fn on_slow(self, threshold: Duration, path: impl Into<PathBuf>) -> Self {
        self.on(On::Slow(nanoseconds(threshold)), Target::Path(path.into()))
    }

    /// The same, and calls `f` with the snapshot.
    pub fn on_slow_with(self, threshold: Duration, f: impl FnMut(Snapshot) + Send + 'static) -> Self {
        self.on(On::Slow(nanoseconds(threshold)), Target::Call(Box::new(f)))
    }

    /// Writes a snapshot to `path` when a thread panics, whether that ends anything or not. The panic is in it, as a message
    /// of the category `panic`.
    ///
    /// A panic hook does it, which calls the one before it first. The thread goes on when the file is written, or after 5 s.
    /// Whoever sets a hook later that does not call this one ends that.
    pub fn on_panic(self, path: impl Into<PathBuf>) -> Self {
        self.on(On::Panic, Target::Path(path.into()))
    }

    /// The same, and calls `f` with the snapshot, for which the thread that panics waits.
    pub fn on_panic_with(self, f: impl FnMut(Snapshot) + Send + 'static) -> Self {
        self.on(On::Panic, Target::Call(Box::new(f)))
    }

    /// Writes a snapshot to `path` when the process is sent this signal: `SIGUSR1`, `SIGUSR2`, `SIGHUP`, `SIGQUIT`, `SIGIO`,
    /// `SIGWINCH` or a realtime signal, by number. On Linux.
    ///
    /// The handler only counts, and calls the one that was there before. It stays when the recorder is stopped: the
    /// signal then does nothing.
    pub fn on_signal(self, signal: i32, path: impl Into<PathBuf>) -> Self {
        self.on(On::Signal(signal), Target::Path(path.into()))
    }

    /// The same, and calls `f` with the snapshot.
    pub fn on_signal_with(self, signal: i32, f: impl FnMut(Snapshot) + Send + 'static) -> Self {
        self.on(On::Signal(signal), Target::Call(Box::new(f)))
    }

    /// Writes a snapshot to `path` at `POST /debug/pprof/flightrecorder`, which then answers with where that is, in place of
    /// the snapshot itself.
    pub fn on_request(self, path: impl Into<PathBuf>) -> Self {
        self.on(On::Request, Target::Path(path.into()))
    }

    /// The same, and calls `f` with the snapshot.
    pub fn on_request_with(self, f: impl FnMut(Snapshot) + Send + 'static) -> Self {
        self.on(On::Request, Target::Call(Box::new(f)))
    }

    fn on(mut self, on: On, target: Target) -> Self {
        self.triggers.push((on, target));
        self
    }

    /// Begins to record.
    ///
    /// # Errors
    /// `Invalid` if `min_age` or a threshold is zero, `max_bytes` less than 1 MiB, or a signal means something else. `Io` if
    /// there is no thread to be had, a path is not one where a file can be written, or this thread panics and is to set
    /// a panic hook. `Unsupported` for signals on the portable backend.
    pub fn start(self) -> Result<FlightRecorder> {
        let bounds = self.check()?;
        let (mut triggers, mut targets) = (Vec::new(), Vec::new());
        for (on, target) in self.triggers {
            targets.push(match target {
                Target::Path(path) => Target::Path(trigger::check(&path)?),
                target => target,
            });
            triggers.push(Trigger::new(on));
        }
        let panics = triggers.iter().any(|trigger| trigger.on == On::Panic);
        let shared = Arc::new(Shared::new(self.format, bounds, self.interval, triggers));
        if panics {
            trigger::hook_panics()?;
        }
        let start = || trigger::start(&shared, targets);
        let delivery = (!shared.triggers.is_empty()).then(start).transpose()?;
        let live = Live::new(Arc::clone(&shared));
        match hub::begin(self.format.encoder(), Output::Ring(Box::new(live))) {
            Ok(session) => shared.session.store(session, Relaxed),
            Err(error) => {
                trigger::unregister(&shared);
                return Err(error);
            }
        }
        trigger::register(&shared);
        Ok(FlightRecorder { shared, delivery, process: fork::generation(), is_over: false })
    }

    fn check(&self) -> Result<Bounds> {
        let invalid = |what, value: String| Err(Error::Invalid { what, value });
        if self.age.is_zero() {
            return invalid("min_age", format!("{:?}", self.age));
        }
        if self.bytes < LEAST_BYTES {
            return invalid("max_bytes", format!("{}, less than {LEAST_BYTES}", self.bytes));
        }
        for (on, _) in &self.triggers {
            match *on {
                On::Slow(0) => return invalid("on_slow", "0ns".to_owned()),
                On::Signal(signal) => match sys::asked::hear(signal) {
                    Ok(true) => {}
                    Ok(false) => return invalid("on_signal", signal.to_string()),
                    Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                        return Err(Error::Unsupported("signals, with the portable backend"));
                    }
                    Err(error) => return Err(error.into()),
                },
                _ => {}
            }
        }
        Ok(Bounds { bytes: self.bytes, age: nanoseconds(self.age) })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on: Vec<&On> = self.triggers.iter().map(|(on, _)| on).collect();
        f.debug_struct("Builder")
            .field("min_age", &self.age)
            .field("max_bytes", &self.bytes)
            .field("format", &self.format)
            .field("at_most_every", &self.interval)
            .field("on", &on)
            .finish()
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How a flight recorder is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Bytes that are kept now, with those of the generation that is being made.
    pub bytes: usize,
    /// The most that there ever were.
    pub most_bytes: usize,
    /// Snapshots of triggers that were delivered.
    pub delivered: u64,
    /// Those that could not be.
    pub failed: u64,
    /// Triggers that came too soon after another one, or while that was being delivered.
    pub suppressed: u64,
    /// How often everything was forgotten because there were too many futures for so few bytes.
    pub restarts: u64,
}

impl Status {
    fn of(shared: &Shared) -> Status {
        Status {
            bytes: shared.bytes.load(Relaxed),
            most_bytes: shared.most.load(Relaxed),
            delivered: shared.taken.load(Relaxed),
            failed: shared.failed.load(Relaxed),
            suppressed: shared.suppressed.load(Relaxed),
            restarts: shared.restarts.load(Relaxed),
        }
    }
}
