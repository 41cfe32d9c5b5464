//! What filled the memory of a program that is gone: reads the file that `profiled::heap::peak_file` left behind.
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use profiled::{Format, Snapshot};

const USAGE: &str = "usage: peak FILE [-o PROFILE]

Prints what was alive in the program that wrote FILE when its heap was largest, by the function that allocated it.
With -o it writes that as a profile for `go tool pprof`.
";

struct Arguments {
    file: PathBuf,
    profile: Option<PathBuf>,
}

fn arguments() -> Result<Arguments, String> {
    let (mut file, mut profile) = (None, None);
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        let place = match argument.to_str() {
            Some("-h" | "--help") => return Err(String::new()),
            Some("-o") => {
                profile = Some(arguments.next().ok_or("-o wants a file")?.into());
                continue;
            }
            Some(option) if option.starts_with('-') => return Err(format!("there is no option {option}")),
            _ => &mut file,
        };
        if place.replace(argument.into()).is_some() {
            return Err("one file at a time".to_owned());
        }
    }
    Ok(Arguments { file: file.ok_or("no file")?, profile })
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(wrong) if wrong.is_empty() => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprint!("peak: {wrong}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Err(profiled::Error::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peak: {}: {error}", arguments.file.display());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> profiled::Result<()> {
    let snapshot = profiled::heap::read_peak_file(&arguments.file)?;
    if let Some(profile) = &arguments.profile {
        snapshot.write(File::create(profile)?, Format::Pprof)?;
    }
    Ok(print(&snapshot)?)
}

/// The functions that allocated most of what was alive, with what that was.
fn print(snapshot: &Snapshot) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for comment in snapshot.comments() {
        writeln!(out, "# {comment}")?;
    }
    let mut functions: HashMap<String, (i64, i64)> = HashMap::new();
    let mut total = 0;
    for sample in snapshot.samples() {
        // alloc_objects, alloc_space, inuse_objects, inuse_space
        let &[_, _, objects, bytes] = sample.values() else { continue };
        total += bytes;
        let frames: Vec<_> = sample.frames().collect();
        // The first that is not the standard library's: who grew the vector, not how vectors grow.
        let own = frames.iter().find(|frame| !is_library(frame.name())).or(frames.first());
        let name = own.map_or_else(String::new, |frame| match frame.file() {
            Some(file) => format!("{} {file}:{}", frame.name(), frame.line()),
            None => frame.name().to_owned(),
        });
        let sum = functions.entry(name).or_default();
        *sum = (sum.0 + objects, sum.1 + bytes);
    }
    let mut functions: Vec<_> = functions.into_iter().collect();
    functions.sort_by(|a, b| b.1.1.cmp(&a.1.1).then_with(|| a.0.cmp(&b.0)));
    writeln!(out, "{:>12} {:>7} {:>12}  allocated by", "bytes", "", "objects")?;
    for (name, (objects, bytes)) in functions.iter().take(20) {
        writeln!(
            out,
            "{bytes:>12} {:>6.1}% {objects:>12}  {name}",
            100.0 * *bytes as f64 / total.max(1) as f64
        )?;
    }
    Ok(())
}

fn is_library(function: &str) -> bool {
    let library =
        |path: &str| ["alloc::", "core::", "std::", "hashbrown::"].iter().any(|name| path.starts_with(name));
    let path = function.trim_start_matches(['<', '&']);
    match path.split_once(" as ") {
        // `<u8 as alloc::vec::spec_from_elem::SpecFromElem>::from_elem`
        Some((kind, interface)) if !kind.contains("::") => library(interface),
        _ => library(path),
    }
}
