//! What the tests of the trace share: a trace as a file, what Go's `trace` says of it, and what its pages show.
pub mod flight;
mod pages;
pub mod perfetto;

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::{env, fs, process};

pub use pages::{Pages, rows};

use profiled::trace::{self, Format, Summary};

/// A writer that others read along.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    /// What was written so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Records what `f` does.
///
/// # Panics
/// If the recording fails.
pub fn record(f: impl FnOnce()) -> (Trace, Summary) {
    let memory = Memory::default();
    let session = trace::start(memory.clone(), Format::Go).expect("a session");
    f();
    let summary = session.stop().expect("a vector takes it all");
    let bytes = memory.bytes();
    assert_eq!(summary.bytes, bytes.len() as u64, "what was written is what was counted");
    (Trace::new(&bytes), summary)
}

/// A trace in a file, for as long as this lives.
#[derive(Debug)]
pub struct Trace {
    path: PathBuf,
}

impl Trace {
    /// A trace of these bytes.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn new(bytes: &[u8]) -> Trace {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("profiled-trace-{}-{}.trace", process::id(), COUNT.fetch_add(1, Relaxed));
        let path = env::temp_dir().join(name);
        fs::write(&path, bytes).expect("a file for the trace");
        Trace { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn run(&self, option: &str) -> Output {
        let tool = tool();
        assert!(tool.exists(), "{} is not there: run tests/run once, it builds it", tool.display());
        Command::new(&tool).arg(option).arg(&self.path).output().expect("the tool runs")
    }

    /// The events as the tool has them, one a line, if it accepts all of it; otherwise what it has up to there, and what it
    /// says.
    ///
    /// # Errors
    /// What the tool says.
    pub fn parse(&self) -> Result<String, (String, String)> {
        let output = self.run("-d=parsed");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(text)
        } else {
            Err((text, String::from_utf8_lossy(&output.stderr).into_owned()))
        }
    }

    /// The same.
    ///
    /// # Panics
    /// If the tool refuses any of it. The file then stays.
    pub fn parsed(&self) -> String {
        self.parse().unwrap_or_else(|(text, error)| {
            let kept = env::temp_dir().join("profiled-refused.trace");
            _ = fs::copy(&self.path, &kept);
            let last: Vec<&str> = text.lines().rev().take(5).collect();
            panic!(
                "refused, after {} lines: {error}\n{last:#?}\nkept as {}",
                text.lines().count(),
                kept.display()
            )
        })
    }

    /// How many events there are of each kind, of which a line has all of the parts, without keeping the text.
    ///
    /// # Panics
    /// If the tool refuses any of it.
    pub fn counts<const N: usize>(&self, kinds: [&[&str]; N]) -> [u64; N] {
        let mut child = Command::new(tool())
            .arg("-d=parsed")
            .arg(&self.path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the tool runs");
        let mut counts = [0; N];
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).expect("output") > 0 {
            let text = String::from_utf8_lossy(&line);
            for (count, parts) in counts.iter_mut().zip(&kinds) {
                *count += u64::from(parts.iter().all(|part| text.contains(part)));
            }
            line.clear();
        }
        assert!(child.wait().expect("its end").success(), "refused: {counts:?}");
        counts
    }

    /// One of the profiles that the tool makes of a trace: `sync`, `sched`, `syscall` or `net`.
    ///
    /// # Panics
    /// If it fails.
    pub fn profile(&self, kind: &str) -> profiled_test_reader::Profile {
        let output = self.run(&format!("-pprof={kind}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        profiled_test_reader::Profile::read(&output.stdout)
    }

    /// The pages that the tool shows.
    pub fn pages(&self) -> Pages {
        Pages::serve(&tool(), &self.path)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        _ = fs::remove_file(&self.path);
    }
}

/// Go's `trace`: `target/tools/trace` of the workspace, or what `PROFILED_GO_TRACE` says.
pub fn tool() -> PathBuf {
    match env::var_os("PROFILED_GO_TRACE") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/trace"),
    }
}

/// How many lines of `text` have all of `parts`.
pub fn count(text: &str, parts: &[&str]) -> usize {
    text.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count()
}

/// Seconds that stress tests run: `PROFILED_STRESS_SECONDS`, or 2.
pub fn stress_seconds() -> u64 {
    env::var("PROFILED_STRESS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}
