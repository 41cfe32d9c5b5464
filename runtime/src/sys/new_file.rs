//! A new file, wherever we are.
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// A new file; what another process of this id has left behind makes room. Never one that a link leads to.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            options.open(path)
        }
        opened => opened,
    }
}
