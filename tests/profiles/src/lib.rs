//! What the tests of the profiles share: a profile as its reader sees it, a process for each case, clocks.
pub mod cpu;
pub mod heap;
pub mod truth;

use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

pub use profiled_test_reader::{
    FlameGraph, Frame, Label, Profile, Sample, Stacks, cumulative, folded, pprof, strict, tool as pprof_path,
};

/// Writes the profile of this name and reads it back. Every file has to satisfy every reader we know.
///
/// # Panics
/// If there is no such profile, or the file breaks a rule.
pub fn read(name: &str) -> Profile {
    checked(&file(name), false)
}

/// The profile of this name as a file.
///
/// # Panics
/// If there is none.
pub fn file(name: &str) -> Vec<u8> {
    let profile = profiled::lookup(name).unwrap_or_else(|| panic!("no profile {name}"));
    let mut file = Vec::new();
    profile.write_to(&mut file, 0).expect("a vector takes it all");
    file
}

/// A profile as text.
///
/// # Panics
/// If there is none.
pub fn text(name: &str, debug: u32) -> String {
    let profile = profiled::lookup(name).unwrap_or_else(|| panic!("no profile {name}"));
    let mut text = Vec::new();
    profile.write_to(&mut text, debug).expect("a vector takes it all");
    String::from_utf8(text).expect("UTF-8")
}

/// A cell of the table that people read: the row of `name`, the column of `title`.
///
/// # Panics
/// If there is none.
pub fn cell(table: &str, name: &str, title: &str) -> String {
    let lines: Vec<&str> = table.lines().filter(|line| !line.starts_with('#')).collect();
    let cells = |line: &str| -> Vec<String> {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    };
    let titles = cells(lines[0]);
    let column = titles.iter().position(|found| found == title);
    let column = column.unwrap_or_else(|| panic!("no {title} in\n{table}"));
    let row = lines[1..].iter().map(|line| cells(line)).find(|row| row[0] == name);
    let row = row.unwrap_or_else(|| panic!("no {name} in\n{table}"));
    row[column].clone()
}

/// A time as tables have it: `3.1us`.
///
/// # Panics
/// If it is none.
pub fn nanoseconds(time: &str) -> f64 {
    let unit = time.find(|c: char| c.is_ascii_alphabetic()).unwrap_or_else(|| panic!("no unit in {time}"));
    let (number, unit) = time.split_at(unit);
    let unit = match unit {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => panic!("no unit of time in {time}"),
    };
    unit * number.parse::<f64>().unwrap_or_else(|_| panic!("no number in {time}"))
}

/// Writes a snapshot and reads it back.
///
/// # Panics
/// If the file breaks a rule.
pub fn read_snapshot(snapshot: &profiled::Snapshot) -> Profile {
    let mut file = Vec::new();
    snapshot.write(&mut file, profiled::Format::Pprof).expect("a vector takes it all");
    checked(&file, snapshot.duration().is_some())
}

fn checked(file: &[u8], window: bool) -> Profile {
    let wrong = strict(file, window);
    assert!(wrong.is_empty(), "{wrong:#?}");
    Profile::read(file)
}

/// Runs `case` in a process of its own, which is this test alone in this binary again: rates, timers and handlers of
/// one case are nobody else's. `test` is the test's name.
///
/// # Panics
/// If the process fails, or hangs for two minutes more than three times as long as [`stress`].
pub fn alone(test: &str, case: impl FnOnce()) {
    if let Some(errors) = child(test, &[], case) {
        eprint!("{errors}");
    }
}

/// The same in an environment with these variables, `PROFILED_*` for the crate's `init`. Gives what the process wrote
/// on standard error; in that process itself, nothing.
///
/// # Panics
/// As [`alone`].
#[expect(unsafe_code, reason = "a system call")]
pub fn child(test: &str, variables: &[(&str, &OsStr)], case: impl FnOnce()) -> Option<String> {
    const VARIABLE: &str = "PROFILED_TEST_ALONE";
    if std::env::var_os(VARIABLE).is_some() {
        // SAFETY: takes a number. What hangs is killed by `SIGALRM`.
        unsafe { libc::alarm(120 + 3 * stress().as_secs() as u32) };
        case();
        return None;
    }
    let program = std::env::current_exe().expect("the path of this test");
    let output = Command::new(program)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .envs(variables.iter().copied())
        .env(VARIABLE, "1")
        .output()
        .expect("this test again");
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success() && out.contains("1 passed"), "{}\n{out}\n{err}", output.status);
    Some(err)
}

/// CPU time of this process so far, as `getrusage` has it: user and system.
#[expect(unsafe_code, reason = "a system call")]
pub fn cpu_time() -> Duration {
    // SAFETY: all-zero is a valid `rusage`, and the call fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// How long a test that only looks for crashes goes on.
pub fn stress() -> Duration {
    let seconds = std::env::var("PROFILED_STRESS_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(2.0))
}

/// A file for Go's `pprof`, gone when it is dropped.
#[derive(Debug)]
pub struct File(std::path::PathBuf);

impl File {
    /// Holds `content`.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn new(name: &str, content: &[u8]) -> File {
        let path = std::env::temp_dir().join(format!("profiled-{}-{name}", std::process::id()));
        std::fs::write(&path, content).expect("a temporary file");
        File(path)
    }

    /// Where it is.
    ///
    /// # Panics
    /// If the path is no text.
    pub fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }

    /// What `pprof` prints about it.
    pub fn pprof(&self, options: &[&str]) -> String {
        let mut args = options.to_vec();
        args.push(self.path());
        pprof(&args)
    }

    /// `pprof -top` of one sample type: each function with what is its own and what is below it, in the type's unit.
    ///
    /// # Panics
    /// If there is no such table.
    pub fn top(&self, sample_type: &str, unit: &str) -> Vec<(String, f64, f64)> {
        let sample_type = format!("-sample_index={sample_type}");
        let unit = format!("-unit={unit}");
        let options =
            ["-top", "-nodecount=100000", "-nodefraction=0", "-symbolize=none", &sample_type, &unit];
        let text = self.pprof(&options);
        let number = |cell: &str| -> f64 {
            let digits = cell.trim_end_matches(|c: char| c.is_alphabetic());
            digits.parse().unwrap_or_else(|_| panic!("{cell} in\n{text}"))
        };
        let rows = text.lines().skip_while(|line| !line.trim_start().starts_with("flat")).skip(1);
        rows.map(|line| {
            let cells: Vec<&str> = line.split_whitespace().collect();
            (cells[5..].join(" "), number(cells[0]), number(cells[3]))
        })
        .collect()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.0);
    }
}
