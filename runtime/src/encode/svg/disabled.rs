//! A build without `flamegraph` draws nothing.
use std::io::{self, Write};

use crate::snapshot::Snapshot;
use crate::symbol::Names;

/// Whether there is a flame graph to be had.
pub(super) const DRAWS: bool = false;

/// Refuses; whoever asks has asked [`DRAWS`] before.
pub(super) fn write(_: &Snapshot, _: Names<'_>, _: &mut impl Write) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
