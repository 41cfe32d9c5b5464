//! The command line.
use std::ffi::OsString;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) const USAGE: &str = "\
codesearch [DIR..]               index the sources below DIR, then answer queries from the terminal and over HTTP;
                                 without DIR: the sources of the crates that cargo has fetched for you
codesearch --once DIR [--out FOLDER]
                                 index once, write the profiles to FOLDER (default: .), show a table, and end

--threads N        threads that index (default: twice the processors)
--max-mb N         sources to index at most (default: 300)
--rounds N         how often to index; 0 is for ever (default: 0; with --once: 1)
--pause SECONDS    between two rounds (default: 2)
--load N           queries a second that the program asks itself; 0 is none (default: 5)
--leak             remember all queries and files, and never forget them: a leak to look for
--http ADDR        where to answer queries (default: 127.0.0.1:7070)
--pprof ADDR       where to serve profiles (default: 127.0.0.1:6060)";

#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) roots: Vec<PathBuf>,
    /// The folder for the profiles, if this is a run that ends.
    pub(crate) once: Option<PathBuf>,
    pub(crate) threads: usize,
    pub(crate) limit: u64,
    pub(crate) rounds: usize,
    pub(crate) pause: Duration,
    pub(crate) load: f64,
    pub(crate) leak: bool,
    pub(crate) http: String,
    pub(crate) pprof: String,
}

/// Reads the command line; `None` if help was asked for.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Option<Args>, String> {
    let mut args = Args {
        roots: Vec::new(),
        once: None,
        threads: std::thread::available_parallelism().map_or(2, NonZero::get) * 2,
        limit: 300 << 20,
        rounds: 0,
        pause: Duration::from_secs(2),
        load: 5.0,
        leak: false,
        http: "127.0.0.1:7070".into(),
        pprof: "127.0.0.1:6060".into(),
    };
    let (mut once, mut out, mut rounds) = (false, None, None);
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let name = word.to_str().unwrap_or("");
        let mut value = || words.next().ok_or(format!("{name} needs a value"));
        match name {
            "-h" | "--help" => return Ok(None),
            "--once" => once = true,
            "--leak" => args.leak = true,
            "--out" => out = Some(PathBuf::from(value()?)),
            "--threads" => args.threads = number(name, value()?, 1, 1_024)?,
            "--max-mb" => args.limit = number::<u64>(name, value()?, 1, 1 << 20)? << 20,
            "--rounds" => rounds = Some(number(name, value()?, 0, usize::MAX)?),
            "--pause" => args.pause = Duration::from_secs_f64(number(name, value()?, 0.0, 86_400.0)?),
            "--load" => args.load = number(name, value()?, 0.0, 1_000.0)?,
            "--http" => args.http = text(name, value()?)?,
            "--pprof" => args.pprof = text(name, value()?)?,
            _ if name.starts_with('-') => return Err(format!("there is no option {name}")),
            _ => args.roots.push(PathBuf::from(word)),
        }
    }
    if out.is_some() && !once {
        return Err("--out goes with --once".into());
    }
    if once {
        if args.roots.is_empty() {
            return Err("--once needs a directory".into());
        }
        if rounds == Some(0) {
            return Err("--once ends, so --rounds is at least 1".into());
        }
        args.once = Some(out.unwrap_or_else(|| ".".into()));
    }
    args.rounds = rounds.unwrap_or(usize::from(once));
    if args.roots.is_empty() {
        args.roots = fetched_crates()?;
    }
    for root in &args.roots {
        std::fs::read_dir(root).map_err(|error| format!("{}: {error}", root.display()))?;
    }
    Ok(Some(args))
}

fn text(name: &str, value: OsString) -> Result<String, String> {
    value.into_string().map_err(|value| format!("{name}: {} is not UTF-8", value.display()))
}

fn number<T>(name: &str, value: OsString, least: T, most: T) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy,
{
    let value = text(name, value)?;
    match value.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("{name}: {value} is not a number from {least} to {most}")),
    }
}

/// `registry/src/*` in cargo's home: every user of Rust has some sources there.
fn fetched_crates() -> Result<Vec<PathBuf>, String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let home = home.ok_or("no home directory; name a directory to index")?;
    let found = folders(&home.join("registry/src"));
    if found.is_empty() {
        return Err(format!("no crates below {}; name a directory to index", home.display()));
    }
    Ok(found)
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Args>, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = [
            ("--threads", "--threads needs a value"),
            ("--threads 0 src", "--threads: 0 is not a number from 1 to 1024"),
            ("--load NaN src", "--load: NaN is not a number from 0 to 1000"),
            ("--pause -1 src", "--pause: -1 is not a number from 0 to 86400"),
            ("--fast", "there is no option --fast"),
            ("--out x src", "--out goes with --once"),
            ("--once", "--once needs a directory"),
            ("--once src --rounds 0", "--once ends, so --rounds is at least 1"),
        ];
        for (line, expected) in wrong {
            assert_eq!(parsed(line).unwrap_err(), expected, "{line}");
        }
        assert!(parsed("/no/such/dir").unwrap_err().starts_with("/no/such/dir: "));
        assert!(parsed("--help").unwrap().is_none());
    }

    #[test]
    fn reads_what_is_right() {
        let args = parsed("--once . --out p --max-mb 2 --rounds 3 --pause 0.5").unwrap().unwrap();
        assert_eq!((args.once, args.limit, args.rounds), (Some("p".into()), 2 << 20, 3));
        assert_eq!(args.pause, Duration::from_millis(500));
    }
}
