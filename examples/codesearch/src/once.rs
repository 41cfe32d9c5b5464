//! `--once`: a run that ends, with its profiles in files.
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use profiled::Format;

use crate::commands::Commands;
use crate::query;

/// Profiles that record by themselves; what they hold at the end of the run is written.
const PROFILES: [&str; 4] = ["heap", "mutex", "block", "functions"];

/// Indexes `rounds` times, asks a few queries, and writes one file for each profile to `folder`.
pub(crate) fn run(commands: &Commands, rounds: usize, folder: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(failed)?;
    let session = profiled::cpu::start().map_err(|error| format!("cannot sample the CPU: {error}"))?;
    for _ in 0..rounds {
        _ = writeln!(io::stderr(), "{}", commands.index(true));
    }
    for text in ["fn main", "impl", "unsafe"] {
        if let Ok(answer) = query::search(text.as_bytes(), 0) {
            _ = writeln!(io::stderr(), "{text}: {answer}");
        }
    }
    let cpu = session.stop();
    if !cfg!(feature = "profiling") {
        _ = writeln!(io::stderr(), "built without profiling: there is nothing to write");
        return Ok(());
    }

    write(folder, "cpu", |file| cpu.write(file, Format::Pprof))?;
    for name in PROFILES {
        let profile = profiled::lookup(name).ok_or(format!("there is no profile {name}"))?;
        write(folder, name, |file| profile.write_to(file, 0))?;
    }
    let functions = profiled::lookup("functions").ok_or("there is no profile functions")?;
    match functions.write_to(io::stdout().lock(), 1) {
        // `codesearch --once . | head`
        Err(profiled::Error::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| format!("functions: {error}")),
    }
}

fn write<F>(folder: &Path, name: &str, profile: F) -> Result<(), String>
where
    F: FnOnce(&mut BufWriter<File>) -> profiled::Result<()>,
{
    let path = folder.join(name).with_extension("pb.gz");
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut file = BufWriter::new(File::create(&path).map_err(|error| told(&error))?);
    profile(&mut file).map_err(|error| told(&error))?;
    file.flush().map_err(|error| told(&error))?;
    _ = writeln!(io::stderr(), "wrote {}", path.display());
    Ok(())
}
