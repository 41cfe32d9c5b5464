//! From a snapshot to bytes: one function, several formats.
use std::io;

use crate::error::{Error, Result};
pub(crate) use crate::record::Format;
use crate::snapshot::Snapshot;

impl Snapshot {
    /// Writes it, looking up names as it goes.
    ///
    /// # Errors
    /// [`Error::Io`] with the writer's own error, [`Error::Unsupported`] for a format that this build lacks.
    pub fn write(&self, _w: impl io::Write, _format: Format) -> Result<()> {
        Err(Error::Unsupported("not yet"))
    }
}
