//! A flame graph: the folded stacks, drawn by `inferno`. The page it makes can be searched and zoomed.
//!
//! `inferno` sorts lines as text, and so draws `f` twice when `f::g` stands beside it: a space sorts before a colon,
//! and that before a semicolon. Here stacks are sorted frame by frame instead, and handed over as a chart in time,
//! the one mode that leaves the order alone; it is read from the end.
use std::fmt::Write as _;
use std::io::{self, Write};

use inferno::flamegraph::color::{MultiPalette, Palette};
use inferno::flamegraph::{Options, from_lines};

use super::folded::{Folded, plain};
use crate::record::ValueType;
use crate::snapshot::Snapshot;
use crate::symbol::Names;

/// Whether there is a flame graph to be had.
pub(super) const DRAWS: bool = true;

/// So many characters fit on a line.
const WIDTH: usize = 160;

/// Draws the value that tools show first. Comments stand under the title, as far as they fit, and whole in the file.
pub(super) fn write(snapshot: &Snapshot, names: Names<'_>, w: &mut impl Write) -> io::Result<()> {
    let (title, unit) = title(snapshot);
    let mut notes: Vec<String> = snapshot.comments().iter().map(|comment| plain(comment)).collect();
    let folded = Folded::new(snapshot, names);
    let (mut text, mut ends, mut sum, mut below) = (String::new(), Vec::new(), 0_u64, 0);
    for (stack, value) in folded.by_name() {
        // Beyond what it counts to, there is nothing more to see.
        let value = u64::try_from(value).map(|value| value.min(u64::MAX - sum));
        let Ok(value @ 1..) = value else {
            below += 1;
            continue;
        };
        sum += value;
        _ = write!(text, "{stack} {value}");
        ends.push(text.len());
    }
    if below > 0 {
        // First of all, for it is about the picture.
        notes.insert(0, format!("not shown: {below} stacks below zero"));
    }
    let notes = notes.join(", ");
    if sum == 0 {
        return nothing(&title, &notes, w);
    }
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let lines: Vec<&str> = starts.zip(&ends).map(|(start, &end)| &text[start..end]).collect();
    let mut options = Options::default();
    options.title = title;
    options.subtitle = (!notes.is_empty()).then(|| shortened(&notes));
    // In an XML comment, which has no two hyphens within, nor one at its end.
    options.notes = notes.replace("--", "- -").replace("--", "- -") + " ";
    options.count_name = unit.to_owned();
    options.colors = Palette::Multi(MultiPalette::Rust);
    // The same snapshot gives the same bytes.
    options.deterministic = true;
    options.flame_chart = true;
    from_lines(&mut options, lines.into_iter().rev(), w)
}

/// What the whole picture shows, and in what unit its numbers are.
fn title(snapshot: &Snapshot) -> (String, &'static str) {
    let kind = snapshot.shown().map_or(ValueType::new("nothing", "count"), |(_, kind)| kind);
    let title = format!("{}: {} in {}", snapshot.meta.profile, kind.name, kind.unit);
    (plain(&title), kind.unit)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{} ..", &text[..end]),
        None => text.to_owned(),
    }
}

/// What `inferno` has no picture for.
fn nothing(title: &str, notes: &str, w: &mut impl Write) -> io::Result<()> {
    let [title, notes] = [title, notes].map(escaped);
    write!(
        w,
        "<?xml version=\"1.0\" standalone=\"no\"?>\n\
         <svg version=\"1.1\" width=\"1200\" height=\"100\" viewBox=\"0 0 1200 100\" \
         xmlns=\"http://www.w3.org/2000/svg\" font-family=\"monospace\" font-size=\"12\" text-anchor=\"middle\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#eeeeee\"/>\n\
         <text id=\"title\" x=\"50%\" y=\"24\" font-size=\"17\">{title}</text>\n\
         <text id=\"subtitle\" x=\"50%\" y=\"48\">{notes}</text>\n\
         <text x=\"50%\" y=\"72\">There is nothing in it.</text>\n\
         </svg>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
