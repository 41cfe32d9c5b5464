//! What the environment asks for: `init` reads the variables `PROFILED_*`, and its guard ends what they began.
//!
//! Called once, by a program's `main`. Nothing in here panics or stops a program: what cannot be had is told on
//! standard error, in one line that names the variable, and the rest goes on.
use std::ffi::OsString;
use std::{fmt, io};

use super::file::{self, Files, Output};
use super::http::{Handler, Server};
use crate::error::{Error, Result};
use crate::profile::{How, Source, lookup};
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
/// process's id and `.tmp`, and renamed when they are whole: whoever reads sees the old one or the new one, also when the
/// disk is full. Where the file's folder cannot be written to, or the name is that of something else than a file, is found
/// here and not at the end. The rates, and the profile `cpu`, stay as they are when the guard is dropped.
///
/// # How a program ends
///
/// | it ends by | what becomes of the files |
/// |---|---|
/// | the guard's drop, a panic that unwinds past it too | written |
/// | `std::process::exit`, with the guard still there | written, on Linux |
/// | `SIGTERM` that nobody handled when this was called, and nobody does when it comes | written by a thread `profiled-files`, which then has the signal do what it does by default: the parent sees a process that `SIGTERM` has ended. A second `SIGTERM` ends it at once. On Linux |
/// | `SIGTERM` that the program handles, before this is called or after it, by a handler that calls ours too | nothing happens here: the program goes on, and drops the guard in its own time |
/// | a panic, with `panic = "abort"` | written before the process ends: a panic hook, which calls the one before it first |
/// | a panic that unwinds | the first one has the heap written as it is then. If it is this guard's own thread that unwinds, that is what stays; otherwise what is written at the end takes its place |
/// | a panic within a panic; `abort`; other signals | only what a first panic has written of the heap |
///
/// Nothing of this runs in a signal handler but a `write` to a pipe. Whoever ends the process waits for at most 10 s. A
/// forked child writes nothing; `SIGTERM` ends it at once.
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
        let how = How { hz: 100, wall: false, thread_names: false, task_stacks: false };
        Ok((output, source("cpu")?.start(how)?))
    });
    let server = wanted("PROFILED_ADDR", serve);
    if let Some(server) = &server {
        tell(format_args!("serving /debug/pprof/ at {}", server.local_addr()));
    }
    let trace = wanted("PROFILED_TRACE", |path| {
        let output = Output::at(path)?;
        let format = match output.ending() {
            Some("trace" | "out") => trace::Format::Go,
            _ => trace::Format::Perfetto,
        };
        let session = trace::start(output.begin()?, format)?;
        Ok((output, session))
    });
    let wanted = cpu.is_some() || heap.is_some() || trace.is_some();
    let files = wanted.then(|| file::add(Files { cpu, heap, trace })).flatten();
    Guard { process: std::process::id(), server, files }
}

/// What [`init`] began. Dropping it stops the server and writes the files.
#[must_use = "dropping it ends what the environment asked for"]
pub struct Guard {
    process: u32,
    server: Option<Server>,
    /// What it is known by where they are.
    files: Option<u64>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A forked child has a copy of this; the files are the parent's.
        if self.process == std::process::id()
            && let Some(files) = self.files
        {
            file::finish(files);
        }
        // The server stops when it is dropped.
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("server", &self.server).finish_non_exhaustive()
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
pub(super) fn tell(what: fmt::Arguments<'_>) {
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

pub(super) fn missing() -> Error {
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
