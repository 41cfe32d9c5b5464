//! What has a snapshot taken, how often it may, and who is given it.
use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::ring::{Bounds, Kept, Ring};
use super::{Cause, Format, Snapshot};
use crate::error::Result;
use crate::fork::Lock;
use crate::local;
use crate::sys::clock::{Clock, nanoseconds};
use crate::sys::new_file::create;
use crate::sys::thread::with_signals_blocked;

use super::super::{hub, record};

/// How long whoever asks waits for the hub: a writer of another session may hold it up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a thread that panics waits for its snapshot to be delivered.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    /// Something that took so many nanoseconds.
    Slow(u64),
    Panic,
    Signal(i32),
    Request,
}

/// Where a snapshot goes.
pub(super) enum Target {
    Path(PathBuf),
    Call(Box<dyn FnMut(Snapshot) + Send>),
}

pub(super) struct Trigger {
    pub(super) on: On,
    /// When it fired last, in nanoseconds, or 0.
    last: AtomicU64,
    /// Its last snapshot is not delivered yet.
    is_busy: AtomicBool,
}

impl Trigger {
    pub(super) fn new(on: On) -> Trigger {
        Trigger { on, last: AtomicU64::new(0), is_busy: AtomicBool::new(false) }
    }
}

/// A snapshot that is to be delivered.
pub(super) struct Job {
    pub(super) trigger: usize,
    pub(super) snapshot: Snapshot,
    /// Who waits for that.
    pub(super) done: Option<Sender<Delivered>>,
}

/// Where a snapshot was written to, if it was.
pub(super) type Delivered = io::Result<Option<PathBuf>>;

/// What all sides of a recorder see.
pub(crate) struct Shared {
    pub(super) format: Format,
    pub(super) bounds: Bounds,
    pub(super) triggers: Vec<Trigger>,
    /// Nanoseconds between two snapshots of a trigger.
    pub(super) interval: u64,
    pub(super) ring: Lock<Ring>,
    /// The hub's number of it; 0 until it has one.
    pub(super) session: AtomicU64,
    jobs: Lock<Option<Sender<Job>>>,
    /// Bytes that are held, and the most that ever were.
    pub(super) bytes: AtomicUsize,
    pub(super) most: AtomicUsize,
    pub(super) taken: AtomicU64,
    pub(super) suppressed: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) restarts: AtomicU64,
    /// The first error of a delivery.
    failure: Lock<Option<io::Error>>,
}

impl Shared {
    pub(super) fn new(format: Format, bounds: Bounds, interval: Duration, triggers: Vec<Trigger>) -> Shared {
        Shared {
            format,
            bounds,
            triggers,
            interval: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX),
            ring: Lock::new(Ring::new(bounds)),
            session: AtomicU64::new(0),
            jobs: Lock::new(None),
            bytes: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            taken: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            failure: Lock::new(None),
        }
    }

    /// So many bytes are held. For the hub alone.
    pub(super) fn measure(&self, bytes: usize) {
        self.bytes.store(bytes, Relaxed);
        if bytes > self.most.load(Relaxed) {
            self.most.store(bytes, Relaxed);
        }
    }

    /// Whether a trigger may fire now. If not, that is counted.
    pub(super) fn admits(&self, trigger: usize) -> bool {
        let trigger = &self.triggers[trigger];
        let now = nanoseconds(Clock::Monotonic).max(1);
        let last = trigger.last.load(Relaxed);
        let admits = (last == 0 || now.saturating_sub(last) >= self.interval)
            && !trigger.is_busy.load(Relaxed)
            && trigger.last.compare_exchange(last, now, Relaxed, Relaxed).is_ok();
        if admits {
            trigger.is_busy.store(true, Relaxed);
        } else {
            self.suppressed.fetch_add(1, Relaxed);
        }
        admits
    }

    /// What is complete now.
    pub(super) fn present(&self, cause: Cause) -> Snapshot {
        self.of(cause, self.ring.lock().all())
    }

    fn of(&self, cause: Cause, kept: Kept) -> Snapshot {
        Snapshot::new(cause, self.format, self.suppressed.load(Relaxed), kept)
    }

    /// All that happened before now; or, if the hub does not answer for long, what is complete.
    pub(super) fn snapshot(&self, cause: Cause, patience: Duration) -> Snapshot {
        let asked = hub::cut(self.session.load(Relaxed));
        // It is our own wait.
        let wait = |answer: Receiver<Option<Kept>>| {
            local::with(|local| local.aside(|| answer.recv_timeout(patience))).ok()
        };
        match asked.and_then(wait).flatten() {
            Some(kept) => self.of(cause, kept),
            None => self.present(cause),
        }
    }

    /// Has the snapshot of a trigger that was admitted delivered.
    pub(super) fn send(&self, job: Job) {
        let trigger = job.trigger;
        let jobs = self.jobs.lock();
        if jobs.as_ref().is_none_or(|jobs| jobs.send(job).is_err()) {
            self.triggers[trigger].is_busy.store(false, Relaxed);
        }
    }

    /// Fires a trigger, if it may, and waits until that is done. `None`: it may not.
    fn fire(&self, trigger: usize, cause: Cause, patience: Duration) -> Option<(Snapshot, Delivered)> {
        if !self.admits(trigger) {
            return None;
        }
        let snapshot = self.snapshot(cause, patience);
        let (done, delivered) = channel();
        self.send(Job { trigger, snapshot: snapshot.clone(), done: Some(done) });
        let delivered = match local::with(|local| local.aside(|| delivered.recv_timeout(patience))) {
            Ok(delivered) => delivered,
            Err(RecvTimeoutError::Timeout) => Err(io::ErrorKind::TimedOut.into()),
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the flight recorder was stopped")),
        };
        Some((snapshot, delivered))
    }

    /// The trigger of requests over HTTP.
    #[cfg(feature = "http")]
    pub(super) fn request(&self) -> Option<Option<(Snapshot, Delivered)>> {
        let at = self.triggers.iter().position(|trigger| trigger.on == On::Request)?;
        Some(self.fire(at, Cause::Request, PATIENCE))
    }

    /// What is asked for without a trigger.
    pub(super) fn asked(&self, cause: Cause) -> Snapshot {
        self.snapshot(cause, PATIENCE)
    }

    /// The first error of a delivery, once.
    pub(super) fn take_failure(&self) -> Option<io::Error> {
        self.failure.lock().take()
    }

    fn deliver(&self, target: &mut Target, snapshot: &Snapshot) -> Delivered {
        let delivered = match target {
            Target::Path(path) => write(path, snapshot).map(|()| Some(path.clone())),
            Target::Call(call) => {
                let snapshot = snapshot.clone();
                panic::catch_unwind(AssertUnwindSafe(|| call(snapshot)))
                    .map(|()| None)
                    .map_err(|_| io::Error::other("what was to be given the snapshot panicked"))
            }
        };
        match &delivered {
            Ok(_) => _ = self.taken.fetch_add(1, Relaxed),
            Err(error) => {
                self.failed.fetch_add(1, Relaxed);
                self.failure.lock().get_or_insert_with(|| io::Error::new(error.kind(), error.to_string()));
            }
        }
        delivered
    }
}

/// The thread that delivers. It ends once nobody sends any more.
pub(super) fn start(shared: &Arc<Shared>, targets: Vec<Target>) -> io::Result<thread::JoinHandle<()>> {
    let (send, jobs) = channel();
    let own = Arc::clone(shared);
    let run = || {
        thread::Builder::new().name("profiled-flight".to_owned()).spawn(move || {
            local::serve();
            serve(&own, targets, &jobs);
        })
    };
    let started = with_signals_blocked(run)?;
    *shared.jobs.lock() = Some(send);
    Ok(started)
}

fn serve(shared: &Shared, mut targets: Vec<Target>, jobs: &Receiver<Job>) {
    for Job { trigger, snapshot, done } in jobs {
        let delivered = shared.deliver(&mut targets[trigger], &snapshot);
        drop(snapshot);
        shared.triggers[trigger].is_busy.store(false, Relaxed);
        if let Some(done) = done {
            // Nobody may wait any more.
            _ = done.send(delivered);
        }
    }
}

/// Writes it beside its place, and renames it when it is whole.
fn write(path: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let unfinished = unfinished(path);
    let result = create(&unfinished).and_then(|file| {
        let mut file = BufWriter::new(file);
        snapshot.write(&mut file)?;
        file.flush()?;
        fs::rename(&unfinished, path)
    });
    if result.is_err() {
        _ = fs::remove_file(&unfinished);
    }
    result
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// Sees that a file can be there. Gives where that is, wherever the program goes.
pub(super) fn check(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    if path.file_name().is_none() || fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
        let text = format!("{} is not a file's name", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let unfinished = unfinished(&path);
    drop(create(&unfinished)?);
    fs::remove_file(&unfinished)?;
    Ok(path)
}

/// Those that run, the youngest last.
static RECORDERS: Lock<Vec<Arc<Shared>>> = Lock::new(Vec::new());

pub(super) fn register(shared: &Arc<Shared>) {
    RECORDERS.lock().push(Arc::clone(shared));
}

/// It runs no more, and delivers what was sent before.
pub(super) fn unregister(shared: &Arc<Shared>) {
    RECORDERS.lock().retain(|other| !Arc::ptr_eq(other, shared));
    let jobs = shared.jobs.lock().take();
    drop(jobs);
}

/// Those that run.
#[cfg(feature = "http")]
pub(super) fn recorders() -> Vec<Arc<Shared>> {
    RECORDERS.lock().clone()
}

/// In a forked child none runs.
pub(in super::super) fn after_fork_in_child() {
    // What is in them is the parent's, down to what is called with snapshots.
    std::mem::forget(std::mem::take(&mut *RECORDERS.lock()));
}

/// What the panic hook has, as long as it is one: whoever sets another one drops it, or calls it.
static HOOK: Lock<Weak<()>> = Lock::new(Weak::new());

/// Has panics seen, after whatever was to be done about them has been done.
pub(super) fn hook_panics() -> Result<()> {
    if thread::panicking() {
        return Err(io::Error::other("a thread that panics cannot set a panic hook").into());
    }
    let is_there = Arc::new(());
    {
        let mut hook = HOOK.lock();
        if hook.upgrade().is_some() {
            return Ok(());
        }
        *hook = Arc::downgrade(&is_there);
    }
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let _is_there = &is_there;
        before(info);
        panicked(info);
    }));
    Ok(())
}

fn panicked(info: &PanicHookInfo<'_>) {
    // A thread of ours, which others wait for, or one that has a lock of ours.
    if local::with(|local| local.inside.get() || local.locks.get() > 0) {
        return;
    }
    let Some(recorders) = RECORDERS.try_lock().map(|recorders| recorders.clone()) else { return };
    let mut is_noted = false;
    for shared in recorders {
        let Some(at) = shared.triggers.iter().position(|trigger| trigger.on == On::Panic) else { continue };
        if !std::mem::replace(&mut is_noted, true) {
            note(info);
        }
        shared.fire(at, Cause::Panic, LAST_PATIENCE);
    }
}

/// Has the panic in the trace, as a message.
fn note(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text =
        text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("Box<dyn Any>");
    let at = info.location().map(ToString::to_string).unwrap_or_default();
    record::log(record::task(), "panic", &format!("{at}: {text}"));
}
