//! What Perfetto's own trace processor says of a trace.
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, slice};

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

/// What the trace processor answers to each of the queries.
///
/// # Panics
/// If it refuses the trace or a query. The file then stays.
pub fn query<const N: usize>(bytes: &[u8], queries: [&str; N]) -> [Rows; N] {
    whole(bytes, &queries).try_into().expect("an answer to each")
}

/// The same of a trace that has no problems.
///
/// # Panics
/// If it has.
pub fn query_good<const N: usize>(bytes: &[u8], queries: [&str; N]) -> [Rows; N] {
    let all: Vec<&str> = [PROBLEMS].into_iter().chain(queries).collect();
    let mut answers = whole(bytes, &all);
    assert_eq!(answers.remove(0), Rows::new());
    answers.try_into().expect("an answer to each")
}

fn whole(bytes: &[u8], queries: &[&str]) -> Vec<Rows> {
    let answer = query_parts(bytes, slice::from_ref(&(0..bytes.len())), queries).remove(0);
    answer.unwrap_or_else(|why| {
        let kept = env::temp_dir().join("profiled-refused.pftrace");
        _ = fs::write(&kept, bytes);
        panic!("{why}\nkept as {}", kept.display());
    })
}

/// The answers to each of the queries of each part of a file, as if that part were all, or why it is refused.
///
/// # Panics
/// If it refuses a query.
pub fn query_parts(bytes: &[u8], parts: &[Range<usize>], queries: &[&str]) -> Vec<Result<Vec<Rows>, String>> {
    let directory = directory();
    assert!(directory.exists(), "{} is not there: run tests/run once, it gets it", directory.display());
    let trace = Trace::new(bytes);
    let ranges: Vec<String> = parts.iter().map(|part| format!("{}-{}", part.start, part.end)).collect();
    let output = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/trace_processor.mjs"))
        .arg(directory)
        .arg(trace.path())
        .arg(ranges.join(","))
        .args(queries)
        .output()
        .expect("node runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut lines = text.lines().peekable();
    let mut answers = Vec::new();
    for _ in parts {
        if let Some(why) = lines.next_if(|line| line.starts_with("! ")) {
            answers.push(Err(why.to_owned()));
            continue;
        }
        let answer = |query: &&str| -> Rows {
            let count = lines.next().and_then(|line| line.strip_prefix("= ")).expect("an answer");
            let rows = lines.by_ref().take(count.parse().expect("a number"));
            let rows: Rows = rows.map(|line| line.split('\t').map(str::to_owned).collect()).collect();
            assert_eq!(rows.len().to_string(), count, "{query}");
            rows
        };
        answers.push(Ok(queries.iter().map(answer).collect()));
    }
    answers
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

/// A packet, as far as tests look.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Where it is in the file.
    pub range: Range<usize>,
    /// It is readable without what comes before it: of the whole trace if it is the first sequence's.
    pub is_cleared: bool,
    /// Its sequence.
    pub sequence: u64,
    /// What follows a packet that is missing.
    pub after_loss: bool,
    /// Of an event: 1 begin, 2 end, 3 instant, 4 counter.
    pub kind: Option<u64>,
}

/// The packets of a file.
///
/// # Panics
/// If it is not made of those.
pub fn packets(bytes: &[u8]) -> Vec<Packet> {
    fields(bytes)
        .map(|(field, value, range)| {
            let Value::Bytes(bytes) = value else { panic!("a number") };
            assert_eq!(field, 1);
            let number = |field| {
                fields(bytes).find_map(|(of, value, _)| match value {
                    Value::Number(value) if of == field => Some(value),
                    _ => None,
                })
            };
            let kind = fields(bytes).find_map(|(field, value, _)| match value {
                Value::Bytes(event) if field == 11 => {
                    fields(event).find_map(|(field, value, _)| match value {
                        Value::Number(kind) if field == 9 => Some(kind),
                        _ => None,
                    })
                }
                _ => None,
            });
            Packet {
                range,
                is_cleared: number(13) == Some(1),
                sequence: number(10).unwrap_or(0),
                after_loss: number(42) == Some(1),
                kind,
            }
        })
        .collect()
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, and where they are.
fn fields(bytes: &[u8]) -> impl Iterator<Item = (u64, Value<'_>, Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at;
        let mut number = || {
            let (mut value, mut shift) = (0_u64, 0);
            loop {
                let byte = bytes[at];
                at += 1;
                value |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    return value;
                }
            }
        };
        if begin == bytes.len() {
            return None;
        }
        let key = number();
        let (value, size) = match key & 7 {
            0 => (Value::Number(number()), 0),
            1 => (Value::Number(0), 8),
            2 => {
                let size = number() as usize;
                (Value::Bytes(&bytes[at..at + size]), size)
            }
            other => panic!("{other} at {begin}"),
        };
        at += size;
        Some((key >> 3, value, begin..at))
    })
}
