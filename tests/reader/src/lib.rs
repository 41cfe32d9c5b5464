//! Reads pprof files, for tests: written from the format's field numbers, so that it can disagree with the writer.
//!
//! [`Profile`] is what a test asks: stacks by name, values by type, labels. [`strict`] holds a file against the rules of
//! every reader we know. [`pprof`] runs the real one. [`folded`] and [`FlameGraph`] read what flame graphs are made of.
use std::path::{Path, PathBuf};
use std::process::Command;

mod flame;
mod profile;
mod strict;
mod wire;

pub use flame::{FlameGraph, Stacks, cumulative, folded};
pub use profile::{Frame, Label, Profile, Sample};
pub use strict::strict;
pub use wire::unzip;

/// Runs Go's `pprof` with these arguments and returns what it prints.
///
/// # Panics
/// If it is not there (`tests/run` builds it), or fails.
pub fn pprof<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> String {
    let tool = tool();
    assert!(tool.exists(), "{} is not there: run tests/run once, it builds it", tool.display());
    let output = Command::new(&tool)
        .args(args)
        // Where it keeps what it fetched, and what it would open: both inside the build's own folder.
        .env("PPROF_TMPDIR", tool.with_file_name("pprof-files"))
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", tool.display()));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "pprof: {}\n{complaint}\n{text}", output.status);
    text
}

/// Go's `pprof`: `target/tools/pprof` of the workspace, or what `PROFILED_PPROF` says.
pub fn tool() -> PathBuf {
    match std::env::var_os("PROFILED_PPROF") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/pprof"),
    }
}
