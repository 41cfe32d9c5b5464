//! Files that are written when the process ends: by the guard of `init`, by `exit`, by a `SIGTERM` that nobody handles, by
//! a panic.
//!
//! Whatever ends it, files are written by ordinary code on an ordinary thread: the guard's own, or one of ours that
//! whoever ends the process waits for. The signal's handler only wakes it.
use std::cell::Cell;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::panic;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, Once, PoisonError, TryLockError, mpsc};
use std::thread;
use std::time::Duration;

use super::environment::{missing, tell};
use crate::encode::Format;
use crate::error::Result;
use crate::local;
use crate::profile::{Recording, lookup};
use crate::snapshot::Snapshot;
use crate::sys::ending::{Termination, at_exit};
use crate::sys::new_file::create;
use crate::sys::thread::with_signals_blocked;
use crate::trace;

/// How long whoever ends the process waits for its files.
const PATIENCE: Duration = Duration::from_secs(10);

/// What one guard has to write.
pub(super) struct Files {
    pub(super) cpu: Option<(Output, Box<dyn Recording>)>,
    pub(super) heap: Option<Output>,
    /// What is recorded goes to the unfinished file meanwhile.
    pub(super) trace: Option<(Output, trace::Session)>,
}

/// Those that are still to be written. Whoever writes holds it until that is done, so that nobody ends the process
/// meanwhile. Never touched in a forked child but by [`add`], which begins anew there.
static PENDING: Mutex<Pending> = Mutex::new(Pending { next: 0, files: Vec::new(), listens: false });
/// Whose they are, or 0 if there are none.
static PROCESS: AtomicU32 = AtomicU32::new(0);

struct Pending {
    next: u64,
    files: Vec<(u64, Files, Heap)>,
    /// The thread that waits for `SIGTERM` is there.
    listens: bool,
}

/// Whether the heap has been written already, as it was when something panicked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heap {
    Unwritten,
    OfAPanic,
}

/// Has them written when the process ends, if not by [`finish`] before.
pub(super) fn add(files: Files) -> Option<u64> {
    let mut pending = match PENDING.try_lock() {
        Ok(pending) => pending,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        // A child of a process that was just writing: it will never be free.
        Err(TryLockError::WouldBlock) if PROCESS.load(Relaxed) != std::process::id() => return None,
        Err(TryLockError::WouldBlock) => PENDING.lock().unwrap_or_else(PoisonError::into_inner),
    };
    if PROCESS.swap(std::process::id(), Relaxed) != std::process::id() {
        // The parent's: not ours to end, nor to write.
        std::mem::forget(std::mem::take(&mut pending.files));
        pending.listens = false;
    }
    let heard = match pending.listens {
        true => Termination::hear_again(),
        false => Termination::hear().and_then(|heard| {
            let Some(termination) = heard else { return Ok(()) };
            spawn(move || listen(termination)).map(drop)?;
            pending.listens = true;
            Ok(())
        }),
    };
    if let Err(error) = heard {
        tell(format_args!("nothing is written at SIGTERM: {error}"));
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| at_exit(exits));
    hook_panics();
    let id = pending.next;
    pending.next += 1;
    pending.files.push((id, files, Heap::Unwritten));
    Some(id)
}

/// Writes what [`add`] was given, unless that is done.
pub(super) fn finish(id: u64) {
    let mut pending = PENDING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = pending.files.iter().position(|(found, ..)| *found == id) {
        let (_, files, heap) = pending.files.swap_remove(at);
        // What it was when it went wrong says more than what is left after it.
        files.write(heap == Heap::OfAPanic && thread::panicking());
    }
    if pending.files.is_empty() {
        Termination::unhear();
    }
}

impl Files {
    fn write(self, without_heap: bool) {
        if let Some((output, session)) = self.trace {
            output.tell("PROFILED_TRACE", session.stop().and_then(|_| output.rename()));
        }
        if let Some((output, recording)) = self.cpu {
            output.save("PROFILED_CPU", || Ok(recording.finish()));
        }
        if let Some(output) = self.heap.filter(|_| !without_heap) {
            output.save_heap();
        }
    }
}

fn write_all() {
    let mut pending = PENDING.lock().unwrap_or_else(PoisonError::into_inner);
    for (_, files, _) in std::mem::take(&mut pending.files) {
        files.write(false);
    }
}

thread_local! {
    /// This thread writes files: if it panics, nobody writes any.
    static WRITES: Cell<bool> = const { Cell::new(false) };
}

/// Starts a thread of ours, which no signal of the program's will find.
fn spawn(run: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    let ours = || {
        local::serve();
        WRITES.set(true);
        run();
    };
    with_signals_blocked(|| thread::Builder::new().name("profiled-files".to_owned()).spawn(ours))
}

/// Runs `write` on a thread of its own, whatever this one is in the middle of, and waits for it, but not for ever.
fn apart(write: fn()) {
    let (ended, over) = mpsc::sync_channel::<()>(0);
    let run = move || {
        write();
        drop(ended);
    };
    if spawn(run).is_ok() {
        _ = over.recv_timeout(PATIENCE);
    }
}

fn has_files() -> bool {
    PROCESS.load(Relaxed) == std::process::id() && !WRITES.get()
}

/// Waits for `SIGTERM`, for as long as the process lives.
fn listen(mut termination: Termination) {
    while let Ok(ends) = termination.wait() {
        if ends {
            write_all();
            Termination::end();
        }
    }
}

extern "C" fn exits() {
    // No thread is started for nothing. Who has the lock is writing, and to be waited for.
    let nothing = || PENDING.try_lock().is_ok_and(|pending| pending.files.is_empty());
    if has_files() && !nothing() {
        apart(write_all);
    }
}

/// Has panics seen, after whatever was to be done about them has been done.
fn hook_panics() {
    static ONCE: Once = Once::new();
    // It cannot be set while this thread panics.
    if thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            before(info);
            if has_files() {
                // Where a panic ends the process nothing comes after this.
                apart(if cfg!(panic = "abort") { write_all } else { write_heaps });
            }
        }));
    });
}

/// The heap as it is at the first panic. The process may survive that, and the rest of its CPU profile is still to come.
fn write_heaps() {
    let mut pending = PENDING.lock().unwrap_or_else(PoisonError::into_inner);
    for (_, files, heap) in &mut pending.files {
        if let Some(output) = files.heap.as_ref()
            && *heap == Heap::Unwritten
        {
            output.save_heap();
            *heap = Heap::OfAPanic;
        }
    }
}

/// A file that will be written.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    /// Where it is written before it is renamed: the same folder.
    unfinished: PathBuf,
}

impl Output {
    /// Sees that it can be written.
    pub(super) fn at(path: OsString) -> Result<Output> {
        // The program may go to another directory meanwhile.
        let path = std::path::absolute(path)?;
        let other = fs::metadata(&path).is_ok_and(|found| !found.is_file());
        let Some(name) = path.file_name().filter(|_| !other) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file's name").into());
        };
        let mut unfinished = name.to_owned();
        unfinished.push(format!(".{}.tmp", std::process::id()));
        let unfinished = path.with_file_name(unfinished);
        drop(create(&unfinished)?);
        fs::remove_file(&unfinished)?;
        Ok(Output { path, unfinished })
    }

    /// The profile `heap`, as it is now.
    fn save_heap(&self) {
        self.save("PROFILED_HEAP", || lookup("heap").map(|profile| profile.snapshot()).ok_or_else(missing));
    }

    /// Writes it, or says why not.
    fn save(&self, variable: &str, snapshot: impl FnOnce() -> Result<Snapshot>) {
        self.tell(variable, snapshot().and_then(|snapshot| self.write(&snapshot)));
    }

    /// Says so if it could not be written.
    fn tell(&self, variable: &str, written: Result<()>) {
        if let Err(error) = written {
            _ = fs::remove_file(&self.unfinished);
            tell(format_args!("{variable}={:?}: {error}", self.path));
        }
    }

    /// What its name ends in, behind the last dot.
    pub(super) fn ending(&self) -> Option<&str> {
        self.path.extension().and_then(|ending| ending.to_str())
    }

    /// The file as long as it is unfinished.
    pub(super) fn begin(&self) -> Result<BufWriter<File>> {
        Ok(BufWriter::new(create(&self.unfinished)?))
    }

    /// It is finished.
    fn rename(&self) -> Result<()> {
        Ok(fs::rename(&self.unfinished, &self.path)?)
    }

    fn write(&self, snapshot: &Snapshot) -> Result<()> {
        let mut file = self.begin()?;
        snapshot.write(&mut file, Format::Pprof)?;
        drop(file.into_inner().map_err(io::IntoInnerError::into_error)?);
        self.rename()
    }
}
