//! One line a stack, `root;..;leaf value`, as flame graph tools take it.
use std::io::{self, Write};

use crate::snapshot::Snapshot;
use crate::symbol::Names;

/// Writes the last value of each row, as far as there is one.
pub(super) fn write(snapshot: &Snapshot, names: Names<'_>, w: &mut impl Write) -> io::Result<()> {
    let mut line = String::new();
    for sample in snapshot.samples() {
        let Some(value) = sample.values().last().filter(|&&value| value != 0) else { continue };
        line.clear();
        for place in names.stack(sample.row.key.stack).iter().rev() {
            match place.shown() {
                // By the file, for addresses would not add up.
                [] => match names.module(place.address, sample.row.key.stack.epoch()) {
                    Some((_, module)) => push(&mut line, &in_brackets(&module.path)),
                    None => push(&mut line, &format!("{:#x}", place.address)),
                },
                shown => shown.iter().rev().for_each(|frame| push(&mut line, frame.name())),
            }
        }
        writeln!(w, "{line} {value}")?;
    }
    Ok(())
}

/// `[libc.so.6]`.
fn in_brackets(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    format!("[{}]", file.trim_start_matches('[').trim_end_matches(']'))
}

/// Adds a frame. What separates frames and lines cannot stand in a name.
fn push(line: &mut String, name: &str) {
    if !line.is_empty() {
        line.push(';');
    }
    line.extend(name.chars().map(|c| match c {
        ';' => ':',
        c if c.is_control() => ' ',
        c => c,
    }));
}
