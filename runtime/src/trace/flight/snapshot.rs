//! What a recorder had at a moment.
use std::fmt;
use std::io;
use std::time::Duration;

use super::Format;
use super::ring::{Generation, Kept};
use crate::error::Result;
use crate::trace::Summary;

/// Why a snapshot was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Something of this name took so long.
    Slow {
        /// The region's, the task's or the function's.
        name: String,
        /// From its begin to its end.
        took: Duration,
    },
    /// A thread panicked.
    Panic,
    /// This signal came.
    Signal(i32),
    /// It was asked for over HTTP.
    Request,
    /// The program asked for it.
    Asked,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Slow { name, took } => write!(f, "{name} took {took:?}"),
            Cause::Panic => f.write_str("a thread panicked"),
            Cause::Signal(signal) => write!(f, "signal {signal}"),
            Cause::Request => f.write_str("a request"),
            Cause::Asked => f.write_str("the program asked"),
        }
    }
}

/// What a flight recorder had at a moment: a trace, which can be written as often as one likes. Cloning is cheap.
#[derive(Clone)]
pub struct Snapshot {
    cause: Cause,
    format: Format,
    suppressed: u64,
    kept: Kept,
}

impl Snapshot {
    pub(super) fn new(cause: Cause, format: Format, suppressed: u64, kept: Kept) -> Snapshot {
        Snapshot { cause, format, suppressed, kept }
    }

    /// Why it was taken.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// What it is written as.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What is in it.
    pub fn summary(&self) -> Summary {
        let sum =
            |of: fn(&Generation) -> u64| self.kept.generations.iter().map(|generation| of(generation)).sum();
        Summary {
            events: sum(|generation| generation.events),
            dropped: sum(|generation| generation.lost),
            bytes: self.kept.head.len() as u64 + sum(|generation| generation.bytes.len() as u64),
            suppressed: self.suppressed,
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// `Io` with the first error of `w`.
    pub fn write_to(&self, mut w: impl io::Write) -> Result<Summary> {
        self.write(&mut w)?;
        w.flush()?;
        Ok(self.summary())
    }

    pub(super) fn write(&self, w: &mut impl io::Write) -> io::Result<()> {
        w.write_all(&self.kept.head)?;
        self.kept.generations.iter().try_for_each(|generation| w.write_all(&generation.bytes))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("cause", &self.cause)
            .field("format", &self.format)
            .field("summary", &self.summary())
            .finish_non_exhaustive()
    }
}
