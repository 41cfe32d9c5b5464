//! A search: the index says which files may have the text, reading them says which do.
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use profiled::{labels, profile, profiled};

use crate::index::{self, trigrams};
use crate::{history, walk};

/// Lines of generated code can be as long as the file.
const LONGEST_LINE: usize = 160;

profile! {
    /// Queries that run right now, each with the stack that asked.
    static OPEN = "codesearch/queries";
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct Answer {
    hits: Vec<Hit>,
    /// Matching lines, those beyond the limit included.
    lines: usize,
    files: usize,
    took: Duration,
}

#[derive(Debug)]
struct Hit {
    file: String,
    line: usize,
    text: String,
}

/// Why a search was not made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    TooShort,
    NoIndex,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::TooShort => "a query has at least three bytes",
            Refused::NoIndex => "there is no index now; `index` makes one",
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for hit in &self.hits {
            writeln!(f, "{}:{}: {}", hit.file, hit.line, hit.text)?;
        }
        let ms = self.took.as_secs_f64() * 1e3;
        write!(f, "{} lines in {} files, {ms:.1} ms", self.lines, self.files)
    }
}

/// Finds `text`, as it is written, and shows at most `limit` lines of it.
#[profiled]
pub(crate) fn search(text: &[u8], limit: usize) -> Result<Answer, Refused> {
    let _open = OPEN.track();
    labels! { "phase" => "query" }
    let begin = Instant::now();
    let wanted = trigrams(text);
    if wanted.is_empty() {
        return Err(Refused::TooShort);
    }
    let index = index::current().ok_or(Refused::NoIndex)?;
    let mut answer = Answer { hits: Vec::new(), lines: 0, files: 0, took: Duration::ZERO };
    let mut content = Vec::new();
    for file in index.candidates(&wanted) {
        // A file that went away since it was indexed has no matches.
        if let Ok(Some(())) = walk::read(&file.path, &mut content) {
            let before = answer.lines;
            scan(&content, text, |line, text| {
                answer.lines += 1;
                if answer.hits.len() < limit {
                    answer.hits.push(Hit { file: file.shown.clone(), line, text: shown(text) });
                }
            });
            answer.files += usize::from(answer.lines > before);
        }
    }
    history::remember(text, &content);
    answer.took = begin.elapsed();
    Ok(answer)
}

/// What `load` asks.
const QUERIES: [&str; 6] = ["unsafe impl", "HashMap", "fn drop", "Mutex", "no such text", "#[inline]"];

/// Calls `found` with the number and the text of each line that has `text` in it.
#[profiled(name = "codesearch/scan")]
fn scan(content: &[u8], text: &[u8], mut found: impl FnMut(usize, &[u8])) {
    for (number, line) in content.split(|&byte| byte == b'\n').enumerate() {
        if contains(line, text) {
            found(number + 1, line);
        }
    }
}

fn contains(line: &[u8], text: &[u8]) -> bool {
    text.is_empty() || line.windows(text.len()).any(|window| window == text)
}

fn shown(line: &[u8]) -> String {
    let cut = line.len().min(LONGEST_LINE);
    let text: String = String::from_utf8_lossy(&line[..cut]).chars().map(printable).collect();
    let end = if cut < line.len() { " .." } else { "" };
    format!("{}{end}", text.trim())
}

/// What a file contains is not for the terminal to obey.
fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// Asks `per_second` queries a second for as long as the program runs, so that there is something to look at.
#[profiled]
pub(crate) fn load(per_second: f64) {
    let pause = Duration::try_from_secs_f64(1.0 / per_second).unwrap_or(Duration::MAX);
    for text in QUERIES.iter().cycle() {
        // Refused while there is no index: that is how it should be.
        _ = search(text.as_bytes(), 10);
        thread::sleep(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_lines_of_any_bytes() {
        let mut found = Vec::new();
        scan(b"one\ntwo main\xff\n\nmain", b"main", |line, text| found.push((line, shown(text))));
        assert_eq!(found, [(2, "two main\u{fffd}".to_string()), (4, "main".to_string())]);
    }

    #[test]
    fn long_and_hostile_lines_are_tamed() {
        assert_eq!(shown(b"\x1b[2J a"), "[2J a");
        assert_eq!(shown(&[b'x'; 200]).len(), LONGEST_LINE + 3);
    }

    #[test]
    fn short_queries_are_refused() {
        assert_eq!(search(b"ab", 1).unwrap_err(), Refused::TooShort);
    }
}
