//! Names as the process itself finds them, where its files are in none of the forms that we read.
//!
//! Whatever is missing makes frames fewer or poorer; it never fails a lookup.
use super::demangle::demangle;
use super::resolve::Line;
use crate::module::Module;
use crate::sys::names;

/// All code of this process. Files are closed when it is dropped.
pub(super) struct Image(());

impl Image {
    /// There is but one module, see [`crate::stack`]: any other is another process's.
    pub(super) fn open(_: &Module, main: bool, _lines: bool) -> Option<Image> {
        main.then_some(Image(()))
    }

    /// The function at `address`: the outermost one of those inlined there.
    pub(super) fn symbol(&self, address: u64) -> Option<Line> {
        let line = names::at(address).pop()?;
        let (name, system_name) = demangle(&line.name);
        Some(Line { name, system_name, ..Line::default() })
    }

    /// The functions at `address`, innermost first.
    pub(super) fn lines(&mut self, address: u64) -> Vec<Line> {
        let lines = names::at(address).into_iter().map(|line| {
            let (name, system_name) = demangle(&line.name);
            Line { name, system_name, file: line.file, line: line.line, ..Line::default() }
        });
        lines.collect()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        names::forget();
    }
}
