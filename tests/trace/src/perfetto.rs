//! What Perfetto's own trace processor says of a trace.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use profiled::trace::{self, Format, Summary};

use crate::{Memory, Trace};

/// Records what `f` does, in Perfetto's format.
///
/// # Panics
/// If the recording fails.
pub fn record_perfetto(f: impl FnOnce()) -> (Vec<u8>, Summary) {
    let memory = Memory::default();
    let session = trace::start(memory.clone(), Format::Perfetto).expect("a session");
    f();
    let summary = session.stop().expect("a vector takes it all");
    let bytes = memory.bytes();
    assert_eq!(summary.bytes, bytes.len() as u64, "what was written is what was counted");
    (bytes, summary)
}

/// A result: its rows, each the texts of its columns.
pub type Rows = Vec<Vec<String>>;

/// What is wrong with a trace, as the processor has it: names and how often.
pub const PROBLEMS: &str =
    "select name, value, severity from stats where value > 0 and severity in ('error', 'data_loss')";

/// What the trace processor answers to each of the queries, of a trace that is nothing but these bytes.
///
/// # Panics
/// If it refuses the trace or a query. The file then stays.
pub fn query<const N: usize>(bytes: &[u8], queries: [&str; N]) -> [Rows; N] {
    ask(bytes, &queries).try_into().expect("an answer to each")
}

/// The same of a trace that has no problems.
///
/// # Panics
/// If it has.
pub fn query_good<const N: usize>(bytes: &[u8], queries: [&str; N]) -> [Rows; N] {
    let all: Vec<&str> = [PROBLEMS].into_iter().chain(queries).collect();
    let mut answers = ask(bytes, &all);
    assert_eq!(answers.remove(0), Rows::new());
    answers.try_into().expect("an answer to each")
}

fn ask(bytes: &[u8], queries: &[&str]) -> Vec<Rows> {
    let directory = directory();
    assert!(directory.exists(), "{} is not there: run tests/run once, it gets it", directory.display());
    let trace = Trace::new(bytes);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/trace_processor.mjs");
    let output = Command::new("node")
        .arg(script)
        .arg(directory)
        .arg(trace.path())
        .args(queries)
        .output()
        .expect("node runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    if !output.status.success() {
        let kept = env::temp_dir().join("profiled-refused.pftrace");
        _ = fs::copy(trace.path(), &kept);
        panic!("{}\nkept as {}", String::from_utf8_lossy(&output.stderr), kept.display());
    }
    let mut lines = text.lines();
    let mut answer = |query: &&str| {
        let head = lines.next().and_then(|line| line.strip_prefix("= ")).expect("an answer");
        let count: usize = head.parse().expect("a number");
        let rows: Rows =
            lines.by_ref().take(count).map(|line| line.split('\t').map(str::to_owned).collect()).collect();
        assert_eq!(rows.len(), count, "{query}");
        rows
    };
    queries.iter().map(&mut answer).collect()
}

/// The one number that a query has for an answer.
///
/// # Panics
/// If it has another one.
pub fn number(rows: &Rows) -> u64 {
    assert_eq!((rows.len(), rows[0].len()), (1, 1), "{rows:?}");
    rows[0][0].parse().unwrap_or_else(|_| panic!("{rows:?}"))
}

/// Where the trace processor is: `target/tools/trace-processor` of the workspace, or what `PROFILED_TRACE_PROCESSOR` says.
fn directory() -> PathBuf {
    match env::var_os("PROFILED_TRACE_PROCESSOR") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/trace-processor"),
    }
}
