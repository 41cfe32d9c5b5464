//! From a snapshot to bytes: one function, several formats.
use std::io;

use crate::error::{Error, Result};
use crate::snapshot::Snapshot;

/// How a snapshot is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Gzipped protobuf, what `pprof` and every scraper read.
    Pprof,
    /// Text in the shape of Go's `debug=1`.
    Text,
    /// Text in the shape of Go's `debug=2`.
    Verbose,
    /// One line a stack, for flame graph tools.
    Folded,
    /// A flame graph. Needs the feature `flamegraph`, otherwise [`Error::Unsupported`].
    Svg,
}

impl Snapshot {
    /// Writes it, looking up names as it goes.
    ///
    /// # Errors
    /// [`Error::Io`] with the writer's own error, [`Error::Unsupported`] for a format that this build lacks.
    pub fn write(&self, _w: impl io::Write, _format: Format) -> Result<()> {
        Err(Error::Unsupported("not yet"))
    }
}
