//! What the environment asks for: `init` reads the variables `PROFILED_*`, and its guard ends what they began.
//!
//! Called once, by a program's `main`. Nothing in here panics or stops a program: what cannot be had is told on
//! standard error, in one line that names the variable, and the rest goes on.
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use super::http::{Handler, Server};
use crate::encode::Format;
use crate::error::{Error, Result};
use crate::profile::{How, Recording, Source, lookup};
use crate::snapshot::Snapshot;
use crate::trace;

/// Does what the environment asks for, until the result is dropped.
///
/// ```
/// let _profiled = profiled::init(); // what `main` begins with
/// ```
///
/// | variable | value |
/// |---|---|
/// | `PROFILED_ADDR` | where to serve `/debug/pprof/`: `127.0.0.1:6060`, `unix:/run/p.sock`, as [`http::serve`](crate::http::serve) takes it; standard error says where that is |
/// | `PROFILED_TOKEN` | what a request to that server has to bring, as [`Handler::token`] |
/// | `PROFILED_CPU` | a file for a CPU profile at 100 Hz from here until the guard is dropped |
/// | `PROFILED_CPU_HZ` | samples for every second of CPU time, 1 to 4 000, for ever: the profile `cpu`, as [`cpu::set_continuous`](crate::cpu::set_continuous) |
/// | `PROFILED_HEAP` | a file for the profile `heap` as it is when the guard is dropped |
/// | `PROFILED_TRACE` | a file for a [trace](mod@crate::trace) from here until the guard is dropped: Go's, if its name ends in `.trace` or `.out`, otherwise Perfetto's |
/// | `PROFILED_HEAP_RATE` | mean bytes between two samples, as [`heap::set_rate`](crate::heap::set_rate); read at the first allocation, whether this is called or not |
/// | `PROFILED_BLOCK_RATE` | nanoseconds of waiting, as [`block::set_rate`](crate::block::set_rate) |
/// | `PROFILED_MUTEX_FRACTION` | one contention in so many, as [`mutex::set_fraction`](crate::mutex::set_fraction) |
///
/// Numbers are decimal. A variable that is empty counts as not set, but for the token: an empty one is refused, and then
/// nothing is served.
///
/// Files are gzipped protobuf, what `pprof` reads. They are written beside their place, under a name that ends in the
/// process's id and `.tmp`, and renamed when they are whole: whoever reads sees the old one or the new one. Where the
/// file's folder cannot be written to, or the name is that of something else than a file, is found here and not at the
/// end. A guard that is never dropped (`std::process::exit`, a signal that kills) writes nothing, and neither does one
/// in a forked child. The rates, and the profile `cpu`, stay as they are when the guard is dropped.
///
/// # Errors
/// None: what is not understood or cannot be had is told on standard error, in one line that names the variable and its
/// value (not the token's), and leaves out what that variable asks for, all of it. Without the feature `http`,
/// `PROFILED_ADDR` is such a case. With the feature `enabled` off nothing is read, and nothing happens.
pub fn init() -> Guard {
    // First what other parts would be sampled with.
    for (variable, profile) in
        [("PROFILED_BLOCK_RATE", "block"), ("PROFILED_MUTEX_FRACTION", "mutex"), ("PROFILED_CPU_HZ", "cpu")]
    {
        _ = wanted(variable, |value| source(profile)?.set_rate(number(value)?));
    }
    let heap = wanted("PROFILED_HEAP", Output::at);
    let cpu = wanted("PROFILED_CPU", |path| {
        let output = Output::at(path)?;
        let how = How { hz: 100, wall: false, thread_names: false };
        Ok((output, source("cpu")?.start(how)?))
    });
    let server = wanted("PROFILED_ADDR", serve);
    if let Some(server) = &server {
        tell(format_args!("serving /debug/pprof/ at {}", server.local_addr()));
    }
    let trace = wanted("PROFILED_TRACE", |path| {
        let output = Output::at(path)?;
        let ending = output.path.extension().and_then(|ending| ending.to_str());
        let format =
            if matches!(ending, Some("trace" | "out")) { trace::Format::Go } else { trace::Format::Perfetto };
        let session = trace::start(BufWriter::new(create(&output.unfinished)?), format)?;
        Ok((output, session))
    });
    Guard { process: std::process::id(), server, cpu, heap, trace }
}

/// What [`init`] began. Dropping it stops the server and writes the files.
#[must_use = "dropping it ends what the environment asked for"]
pub struct Guard {
    process: u32,
    server: Option<Server>,
    cpu: Option<(Output, Box<dyn Recording>)>,
    heap: Option<Output>,
    trace: Option<(Output, trace::Session)>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Guard { process, server, cpu, heap, trace } = self;
        // A forked child has a copy of this; the files are the parent's.
        if *process != std::process::id() {
            std::mem::forget(trace.take());
            return;
        }
        if let Some((output, session)) = trace.take() {
            let written = session.stop().and_then(|_| Ok(fs::rename(&output.unfinished, &output.path)?));
            output.tell("PROFILED_TRACE", written);
        }
        if let Some((output, recording)) = cpu.take() {
            output.save("PROFILED_CPU", || Ok(recording.finish()));
        }
        if let Some(output) = heap.take() {
            output.save("PROFILED_HEAP", || {
                lookup("heap").map(|profile| profile.snapshot()).ok_or_else(missing)
            });
        }
        drop(server.take());
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("server", &self.server)
            .field("cpu", &self.cpu.as_ref().map(|(output, _)| output))
            .field("heap", &self.heap)
            .field("trace", &self.trace.as_ref().map(|(output, _)| output))
            .finish_non_exhaustive()
    }
}

/// What a variable asks for, if it is set and that can be had.
fn wanted<T>(variable: &str, get: impl FnOnce(OsString) -> Result<T>) -> Option<T> {
    let value = std::env::var_os(variable).filter(|value| !value.is_empty())?;
    match get(value.clone()) {
        Ok(found) => Some(found),
        Err(error) => {
            tell(format_args!("{variable}={value:?}: {error}"));
            None
        }
    }
}

/// One line for people.
fn tell(what: fmt::Arguments<'_>) {
    use io::Write as _;
    // Not `eprintln`, which panics where standard error is closed.
    _ = writeln!(io::stderr(), "profiled: {what}");
}

fn number(value: OsString) -> Result<u64> {
    let digits = value.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| Error::Invalid {
        what: "a decimal number",
        value: value.to_string_lossy().into_owned(),
    })
}

fn source(profile: &str) -> Result<&'static dyn Source> {
    lookup(profile).and_then(|profile| profile.source()).ok_or_else(missing)
}

fn missing() -> Error {
    Error::Unsupported("this build has no such profile")
}

fn serve(address: OsString) -> Result<Server> {
    if !cfg!(feature = "http") {
        return Err(Error::Unsupported("a server; this build is without the feature `http`"));
    }
    let no_text = |what| Error::Invalid { what, value: "no UTF-8".to_owned() };
    let address = address.into_string().map_err(|_| no_text("address"))?;
    let handler = match std::env::var_os("PROFILED_TOKEN") {
        None => Handler::new(),
        // Whoever sets one does not want everybody in.
        Some(token) if token.is_empty() => {
            return Err(Error::Invalid { what: "PROFILED_TOKEN", value: String::new() });
        }
        Some(token) => Handler::new().token(token.into_string().map_err(|_| no_text("PROFILED_TOKEN"))?),
    };
    handler.serve(address)
}

/// A file that will be written.
#[derive(Debug)]
struct Output {
    path: PathBuf,
    /// Where it is written before it is renamed: the same folder.
    unfinished: PathBuf,
}

impl Output {
    /// Sees that it can be written.
    fn at(path: OsString) -> Result<Output> {
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

    /// Writes it, or says why not.
    fn save(self, variable: &str, snapshot: impl FnOnce() -> Result<Snapshot>) {
        let written = snapshot().and_then(|snapshot| self.write(&snapshot));
        self.tell(variable, written);
    }

    fn tell(&self, variable: &str, written: Result<()>) {
        if let Err(error) = written {
            _ = fs::remove_file(&self.unfinished);
            tell(format_args!("{variable}={:?}: {error}", self.path));
        }
    }

    fn write(&self, snapshot: &Snapshot) -> Result<()> {
        let mut file = BufWriter::new(create(&self.unfinished)?);
        snapshot.write(&mut file, Format::Pprof)?;
        drop(file.into_inner().map_err(io::IntoInnerError::into_error)?);
        Ok(fs::rename(&self.unfinished, &self.path)?)
    }
}

/// A new file; what another process of this id has left behind makes room. Never one that a link leads to.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            options.open(path)
        }
        opened => opened,
    }
}
