//! Files that are written piece by piece.
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};

/// Writes all of `bytes` at `offset`. It allocates nothing.
pub(crate) fn write_at(mut file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

/// The most bytes that a file of ours may have: nobody tells.
pub(crate) fn most_bytes() -> Option<u64> {
    None
}
