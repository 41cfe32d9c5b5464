//! The one public error. Its variants are named for what the caller can do next.
use std::{fmt, io};

/// What went wrong, by what to do about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Reading, writing or binding failed; the operating system's own error is inside.
    Io(io::Error),
    /// A setting or argument is out of its range: `what` names it, `value` repeats it.
    Invalid {
        /// The setting, as the caller spells it.
        what: &'static str,
        /// The value that was refused.
        value: String,
    },
    /// [`add`](crate::Profile::add) was called on a profile that fills itself.
    NotCustom,
    /// The key is in this profile already: remove it first.
    DuplicateKey,
    /// The two snapshots are of different profiles, so that no difference of them exists.
    Mismatch,
    /// This build or this machine cannot do it; the text says what is missing.
    Unsupported(&'static str),
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(error) => error.fmt(f),
            Error::Invalid { what, value } => write!(f, "invalid value for {what}: {value:?}"),
            Error::NotCustom => f.write_str("this profile fills itself; only custom profiles take `add`"),
            Error::DuplicateKey => f.write_str("the key is already in this profile"),
            Error::Mismatch => f.write_str("the two snapshots are of different profiles"),
            Error::Unsupported(what) => write!(f, "not supported here: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(error)
    }
}
