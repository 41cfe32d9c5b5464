//! What the programs of the chapter share: three loads, and running one of them a number of times.
//!
//! `CHAPTER_ROUNDS` says how often (10), `CHAPTER_PERCENT` how much of the book's load each round is (100).
use std::error::Error;
use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

pub mod op;

/// A result that `main` can end with.
pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Runs `op` so many times, with a pause between, and prints how long that took. A panic is an error.
///
/// # Errors
/// For no times at all, and the first that `op` gives.
pub fn execute(op: impl Fn() -> Outcome, times: usize) -> Outcome {
    if times == 0 {
        return Err("to be executed no times".into());
    }
    let begin = Instant::now();
    for _ in 0..times {
        let done = catch_unwind(AssertUnwindSafe(&op));
        done.map_err(|_| "the operation panicked")??;
        std::thread::sleep(Duration::from_micros(1));
    }
    println!("(elapsed time: {:.3?})", begin.elapsed());
    Ok(())
}

/// A file of this name, in a folder that is made if it is not there.
///
/// # Errors
/// If that is not possible.
pub fn create_file(folder: impl AsRef<Path>, name: &str) -> Outcome<File> {
    fs::create_dir_all(&folder)?;
    Ok(File::create(folder.as_ref().join(name))?)
}

/// How many rounds: `CHAPTER_ROUNDS`, or the book's 10.
///
/// # Errors
/// If it is no number.
pub fn rounds() -> Outcome<usize> {
    number("CHAPTER_ROUNDS", 10)
}

fn number(variable: &str, default: usize) -> Outcome<usize> {
    match std::env::var(variable) {
        Err(_) => Ok(default),
        Ok(text) => text.parse().map_err(|_| format!("{variable}={text:?} is no number").into()),
    }
}

/// So much of what the book does: `CHAPTER_PERCENT` of it.
fn part(of: usize) -> Outcome<usize> {
    Ok((of * number("CHAPTER_PERCENT", 100)? / 100).max(1))
}
