//! Text in Go's shapes, so that whatever reads Go's `debug=1` reads ours, with names for people in comments.
//!
//! Readers take the first line for the kind of profile, then rows of numbers and return addresses, from each of
//! which they subtract one. Our addresses lie in the call already, so one is added to every address of a row, and
//! none to those in comments. Numbers are unbiased, and headers say so: readers must not scale them again.
use std::fmt::Write as _;
use std::io::{self, Write};

use super::columns;
use crate::record::LabelValue;
use crate::snapshot::{Part, SampleRef, Shape, Snapshot, Table, Unit};
use crate::store::Stack;
use crate::symbol::{Names, Place};

/// Writes `snapshot` in the shape that its profile has, with all there is to say if `in_full`.
pub(super) fn write(
    snapshot: &Snapshot,
    names: Names<'_>,
    in_full: bool,
    w: &mut impl Write,
) -> io::Result<()> {
    match (snapshot.meta.shape, &snapshot.meta.table) {
        (Shape::Table, Some(table)) => {
            comments(snapshot, w)?;
            return write_table(snapshot.meta.profile, table, w);
        }
        (Shape::Heap, _) => {
            let [alloc_objects, mut alloc_bytes, objects, bytes] = snapshot.totals();
            // Readers take equal numbers for a profile that knows only what is alive.
            if (alloc_objects, alloc_bytes) == (objects, bytes) {
                alloc_bytes = alloc_bytes.saturating_add(1);
            }
            // A rate of one sample in 1 byte, doubled as the format has it.
            writeln!(w, "heap profile: {objects}: {bytes} [{alloc_objects}: {alloc_bytes}] @ heap/2")?;
        }
        (Shape::Contention { mutex }, _) => {
            writeln!(w, "--- {}:", if mutex { "mutex" } else { "contention" })?;
            writeln!(w, "cycles/second=1000000000")?;
            if mutex {
                writeln!(w, "sampling period=1")?;
            }
        }
        (Shape::Count | Shape::Table | Shape::Report, _) => {
            // The name is one word for those who read it.
            let name = snapshot.meta.profile.replace(char::is_whitespace, "_");
            writeln!(w, "{name} profile: total {}", snapshot.totals()[0])?;
        }
    }
    comments(snapshot, w)?;
    if snapshot.meta.shape == Shape::Report {
        return snapshot.meta.report.iter().try_for_each(|part| tell(snapshot, part, names, in_full, w));
    }
    let idle = |sample: &SampleRef<'_>| sample.row.key.is_idle() && !snapshot.meta.shows_idle;
    let left_out = snapshot.samples().filter(idle).count();
    if left_out > 0 {
        writeln!(w, "# {left_out} rows of idle pool threads are left out; idle=1 has them")?;
    }
    for sample in snapshot.samples().filter(|sample| !idle(sample)) {
        row(snapshot.meta.shape, sample, names, w)?;
    }
    lines_of(&snapshot.meta.footer, w)
}

fn comments(snapshot: &Snapshot, w: &mut impl Write) -> io::Result<()> {
    lines_of(&snapshot.meta.comments, w)
}

pub(super) fn lines_of(comments: &[String], w: &mut impl Write) -> io::Result<()> {
    let lines = comments.iter().flat_map(|comment| comment.lines());
    lines.into_iter().try_for_each(|line| writeln!(w, "# {line}"))
}

fn row(shape: Shape, sample: SampleRef<'_>, names: Names<'_>, w: &mut impl Write) -> io::Result<()> {
    let value = |index: usize| sample.values().get(index).copied().unwrap_or(0);
    match shape {
        Shape::Heap => write!(w, "{}: {} [{}: {}] @", value(2), value(3), value(0), value(1))?,
        Shape::Contention { .. } => write!(w, "{} {} @", value(1), value(0))?,
        Shape::Count | Shape::Table | Shape::Report => write!(w, "{} @", value(0))?,
    }
    let places = names.stack(sample.row.key.stack);
    places.iter().try_for_each(|place| write!(w, " {:#x}", place.address.wrapping_add(1)))?;
    writeln!(w)?;
    if let Some(labels) = labels(sample) {
        writeln!(w, "# labels: {labels}")?;
    }
    columns::write(&places.iter().flat_map(lines).collect::<Vec<_>>(), w)?;
    writeln!(w)
}

fn tell(
    snapshot: &Snapshot,
    part: &Part,
    names: Names<'_>,
    in_full: bool,
    w: &mut impl Write,
) -> io::Result<()> {
    match part {
        Part::Line(line) if line.is_empty() => writeln!(w),
        Part::Line(line) => writeln!(w, "# {}", plain(line)),
        Part::Stack(stack) => frames(*stack, names, w),
        Part::Row(row) => self::row(snapshot.meta.shape, SampleRef { row, snapshot }, names, w),
        Part::InFull(_) if !in_full => Ok(()),
        Part::InFull(part) => tell(snapshot, part, names, in_full, w),
    }
}

/// A stack, all of it comments.
fn frames(stack: Stack, names: Names<'_>, w: &mut impl Write) -> io::Result<()> {
    columns::write(&names.stack(stack).iter().flat_map(lines).collect::<Vec<_>>(), w)
}

/// The comment lines on one address, as cells.
fn lines(place: &Place) -> Vec<Vec<String>> {
    let head = || vec!["#".to_owned(), format!("{:#x}", place.address)];
    let line = |frame: &crate::symbol::Frame| {
        let mut line = head();
        line.push(match frame.offset() {
            Some(offset) => format!("{}+{offset:#x}", plain(frame.name())),
            None => plain(frame.name()),
        });
        line.extend(frame.file().map(|file| format!("{}:{}", plain(file), frame.line())));
        line
    };
    match place.shown() {
        [] => vec![head()],
        shown => shown.iter().map(line).collect(),
    }
}

/// A text that stays on its line and in its column.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `{"key":"value", "other":"value"}`, or nothing.
pub(super) fn quoted<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let mut text = String::new();
    for (key, value) in labels {
        let separator = if text.is_empty() { "{" } else { ", " };
        _ = write!(text, "{separator}{}:{}", Quoted(key), Quoted(value));
    }
    (!text.is_empty()).then_some(text + "}")
}

/// Labels as text has them. Numbers, the block size of heap rows, are in the row itself.
fn labels(sample: SampleRef<'_>) -> Option<String> {
    quoted(sample.labels().filter_map(|(key, value)| match value {
        LabelValue::Str(value) => Some((key, value)),
        LabelValue::Num(..) => None,
    }))
}

/// A string in quotes, escaped so that it stays on its line.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// A table for terminals: names on the left, figures to the right.
fn write_table(name: &str, table: &Table, w: &mut impl Write) -> io::Result<()> {
    let titles = std::iter::once(name.to_owned()).chain(table.columns.iter().map(|c| c.title.to_owned()));
    let mut lines: Vec<Vec<String>> = vec![titles.collect()];
    for (name, cells) in &table.rows {
        let mut line = vec![plain(name)];
        line.extend(table.columns.iter().enumerate().map(|(index, column)| {
            let cell = cells.get(index).copied().flatten();
            cell.map_or_else(|| "-".to_owned(), |value| human(value, column.unit))
        }));
        lines.push(line);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..=table.columns.len()).map(width).collect();
    for line in &lines {
        let mut text = format!("{:<1$}", line[0], widths[0]);
        for (cell, width) in line.iter().zip(&widths).skip(1) {
            _ = write!(text, "  {cell:>width$}");
        }
        writeln!(w, "{}", text.trim_end())?;
    }
    Ok(())
}

/// A figure of three digits with its unit.
fn human(value: f64, unit: Unit) -> String {
    const TIME: [(f64, &str); 6] =
        [(1.0, "ns"), (1e3, "us"), (1e6, "ms"), (1e9, "s"), (60e9, "min"), (3600e9, "h")];
    const SIZE: [(f64, &str); 5] = [
        (1.0, "B"),
        (1024.0, "KiB"),
        (1_048_576.0, "MiB"),
        (1_073_741_824.0, "GiB"),
        (1_099_511_627_776.0, "TiB"),
    ];
    match unit {
        Unit::Count => format!("{value:.0}"),
        Unit::Percent => format!("{}%", digits(value)),
        Unit::Nanoseconds => scaled(value, &TIME),
        Unit::Bytes => scaled(value, &SIZE),
    }
}

fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    // 999.6 us would read 1000us: what rounds up to the next unit is said in that one.
    let fits = |&&(size, _): &&(f64, &str)| value.abs() >= size * 0.9995;
    let (size, name) = units.iter().rev().find(fits).copied().unwrap_or(units[0]);
    format!("{}{name}", digits(value / size))
}

fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
