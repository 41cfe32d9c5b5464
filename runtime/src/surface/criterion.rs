//! A CPU profile of every benchmark: a profiler for [criterion](::criterion).
//!
//! ```toml
//! [dev-dependencies]
//! criterion = "0.8"
//! profiled = { version = "0.1", features = ["criterion", "flamegraph"] }   # `flamegraph` only if you want the picture
//!
//! [[bench]]
//! name = "sums"
//! harness = false
//!
//! [profile.bench]
//! debug = "line-tables-only"           # files, lines and inlined functions
//! ```
//!
//! `benches/sums.rs`:
//!
//! ```no_run
//! use std::hint::black_box;
//!
//! use criterion::{Criterion, criterion_group, criterion_main};
//! use profiled::criterion::Profiler;
//!
//! fn sum(numbers: &[u64]) -> u64 {
//!     numbers.iter().fold(0, |sum, n| sum.rotate_left(5) ^ n)
//! }
//!
//! fn sums(c: &mut Criterion) {
//!     let numbers: Vec<u64> = (0..10_000).collect();
//!     c.bench_function("sum", |b| b.iter(|| sum(black_box(&numbers))));
//! }
//!
//! criterion_group! {
//!     name = benches;
//!     config = Criterion::default().with_profiler(Profiler::new(1000));
//!     targets = sums
//! }
//! criterion_main!(benches);
//! ```
//!
//! ```sh
//! cargo bench --bench sums                            # measures, and profiles nothing
//! cargo bench --bench sums -- --profile-time 5        # runs each benchmark for 5 s, and measures nothing
//! go tool pprof -http=: target/criterion/sum/profile/profile.pb.gz
//! ```
use std::fmt;
use std::fs::{File, create_dir_all};
use std::path::Path;

use crate::encode::{Format, supported};
use crate::error::{Error, Result};
use crate::profile::{How, Recording, lookup};

/// Samples the CPU while criterion runs a benchmark for `--profile-time`.
///
/// Into the directory that criterion gives to the benchmark, `target/criterion/BENCHMARK/profile/`, it writes
/// `profile.pb.gz`, what `pprof` reads, and, in a build with the feature `flamegraph`, `flamegraph.svg`. What was there
/// before is replaced.
///
/// A profile that cannot be had does not end the benchmarks: standard error says which and why.
///
/// Switched off (`default-features = false`), it writes nothing.
pub struct Profiler {
    hz: u32,
    recording: Option<Box<dyn Recording>>,
}

impl Profiler {
    /// Takes `hz` samples for every second of CPU time, 1 to 4 000: see [`cpu::Options::hz`](crate::cpu::Options::hz).
    /// Of another rate there is no profile, and standard error says so.
    pub const fn new(hz: u32) -> Profiler {
        Profiler { hz, recording: None }
    }
}

impl Default for Profiler {
    /// 100 samples for every second of CPU time.
    fn default() -> Profiler {
        Profiler::new(100)
    }
}

impl fmt::Debug for Profiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profiler")
            .field("hz", &self.hz)
            .field("recording", &self.recording.is_some())
            .finish_non_exhaustive()
    }
}

impl ::criterion::profiler::Profiler for Profiler {
    fn start_profiling(&mut self, benchmark_id: &str, _benchmark_dir: &Path) {
        // Whatever was left running is over.
        self.recording = None;
        match start(self.hz) {
            Ok(recording) => self.recording = Some(recording),
            Err(error) => complain(benchmark_id, &error),
        }
    }

    fn stop_profiling(&mut self, benchmark_id: &str, benchmark_dir: &Path) {
        let Some(recording) = self.recording.take() else { return };
        if let Err(error) = write(recording, benchmark_dir) {
            complain(benchmark_id, &error);
        }
    }
}

fn start(hz: u32) -> Result<Box<dyn Recording>> {
    let source = lookup("cpu").and_then(|profile| profile.source());
    let how = How { hz, wall: false, thread_names: false, task_stacks: false };
    source.ok_or(Error::Unsupported("this build has no CPU profile"))?.start(how)
}

fn write(recording: Box<dyn Recording>, directory: &Path) -> Result<()> {
    let snapshot = recording.finish();
    create_dir_all(directory)?;
    snapshot.write(File::create(directory.join("profile.pb.gz"))?, Format::Pprof)?;
    if supported(Format::Svg).is_ok() {
        snapshot.write(File::create(directory.join("flamegraph.svg"))?, Format::Svg)?;
    }
    Ok(())
}

fn complain(benchmark: &str, error: &Error) {
    eprintln!("profiled: no profile of {benchmark}: {error}");
}
