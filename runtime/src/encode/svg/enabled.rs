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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Format, pseudo};
    use crate::snapshot::{Key, Meta, Row};
    use crate::store::Stack;
    use crate::symbol::{Frame, tests::fix};

    fn drawn(value_types: Vec<ValueType>, comments: &[&str], rows: &[(&[u64], i64)]) -> String {
        let comments = comments.iter().map(|&comment| comment.to_owned()).collect();
        let meta = Meta { profile: "fakes", value_types, comments, ..Meta::default() };
        let row = |&(stack, value): &(&[u64], i64)| Row {
            key: Key::of(Stack::intern(stack, 0)),
            values: [value, 0, 0, 0],
        };
        let mut image = Vec::new();
        let snapshot = Snapshot::new(meta, rows.iter().map(row).collect(), Default::default());
        snapshot.write(&mut image, Format::Svg).unwrap();
        String::from_utf8(image).unwrap()
    }

    fn count() -> Vec<ValueType> {
        vec![ValueType::new("fakes", "count")]
    }

    #[test]
    fn what_is_no_place_in_the_program_is_drawn_too() {
        let rows = [
            ([pseudo::LOST, 0], 1),
            ([pseudo::OTHER, 0], 2),
            ([pseudo::UNATTRIBUTED, 0], 4),
            ([0x73_0010, pseudo::TRUNCATED], 8),
        ];
        fix(0x73_0010, &[Frame::test("leaf", "", (0, 0), 0x73_0010, 0)]);
        let rows: Vec<(&[u64], i64)> = rows
            .iter()
            .map(|(stack, value)| (stack.split(|&address| address == 0).next().unwrap(), *value))
            .collect();
        let image = drawn(count(), &[], &rows);
        for title in ["[lost] (1", "[other] (2", "[unattributed] (4", "[truncated] (8", "leaf (8", "all (15"]
        {
            assert!(image.contains(&format!("<title>{title} count, ")), "{title}: {image}");
        }
        assert!(!image.contains("id=\"subtitle\""));
    }

    #[test]
    fn a_function_is_one_bar_whoever_stands_beside_it() {
        let names = ["f", "f::{{closure}}", "f b", "g", "root"];
        let [f, closure, space, g, root] = [0, 1, 2, 3, 4].map(|n| 0x74_0000 + n as u64 * 16);
        for (name, address) in names.iter().zip([f, closure, space, g, root]) {
            fix(address, &[Frame::test(name, "", (0, 0), address, 0)]);
        }
        let rows: &[(&[u64], i64)] =
            &[(&[f, root], 1), (&[g, f, root], 2), (&[g, closure, root], 4), (&[g, space, root], 8)];
        let image = drawn(count(), &[], rows);
        for title in ["root (15", "f (3", "f::{{closure}} (4", "f b (8"] {
            assert_eq!(image.matches(&format!("<title>{title} count")).count(), 1, "{title}: {image}");
        }
    }

    #[test]
    fn comments_stay_comments() {
        let long = "x".repeat(500);
        let image = drawn(count(), &["lost -- 3 <samples>---", &long, "end-"], &[(&[pseudo::LOST], 1)]);
        let note = image.split("NOTES: ").nth(1).and_then(|rest| rest.split("-->").next()).unwrap();
        assert!(!note.contains("--") && !note.ends_with('-'), "{note}");
        assert!(note.contains(&long) && note.contains("end-"), "{note}");
        let subtitle =
            image.split("id=\"subtitle\"").nth(1).and_then(|rest| rest.split("</text>").next()).unwrap();
        assert!(
            subtitle.contains(">lost -- 3 &lt;samples&gt;---, xxx") && subtitle.ends_with("xxx .."),
            "{subtitle}"
        );
        let empty = drawn(count(), &["lost -- 3 <samples>"], &[]);
        assert!(
            empty.contains(">lost -- 3 &lt;samples&gt;</text>") && empty.contains("nothing in it"),
            "{empty}"
        );
    }

    #[test]
    fn sums_beyond_all_measure_are_drawn() {
        let rows: &[(&[u64], i64)] =
            &[(&[pseudo::LOST], i64::MAX), (&[pseudo::OTHER], i64::MAX), (&[pseudo::UNKNOWN], i64::MAX)];
        let image = drawn(count(), &[], rows);
        assert!(image.contains("fg:x=\"0\" fg:w=\"9223372036854775807\""), "{image}");
        assert!(image.contains("total_samples=\"18446744073709551615\""), "{image}");
        assert!(drawn(Vec::new(), &[], rows).contains("nothing in it"));
    }
}
