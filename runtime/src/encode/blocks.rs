//! What is alive, one block each, in the layout of Go's stack dumps: a line that says who and in what state, then for each
//! function a line with its name and one with its place.
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use super::text::{Quoted, lines_of, plain, quoted};
use crate::alive::Alive;
use crate::snapshot::Snapshot;
use crate::symbol::{Names, Place};

/// So much is written, as Go does; what is left out is said.
const MAX_BYTES: usize = 64 << 20;

pub(super) fn write(snapshot: &Snapshot, names: Names<'_>, w: &mut impl Write) -> io::Result<()> {
    write_at_most(snapshot, names, MAX_BYTES, w)
}

fn write_at_most(snapshot: &Snapshot, names: Names<'_>, most: usize, w: &mut impl Write) -> io::Result<()> {
    let mut written = 0;
    for (n, one) in snapshot.alive.iter().enumerate() {
        let block = block(one, names);
        if written + block.len() > most {
            let left = snapshot.alive.len() - n;
            writeln!(w, "# {left} more are left out: what comes before them is {written} bytes")?;
            break;
        }
        written += block.len();
        w.write_all(block.as_bytes())?;
    }
    lines_of(&snapshot.meta.comments, w)
}

fn block(one: &Alive, names: Names<'_>) -> String {
    let mut text = String::new();
    _ = write!(text, "{} {} {} [{}", one.kind.word(), one.id, Quoted(&one.name), one.state);
    if let Some(wait) = one.wait.and_then(rounded) {
        _ = write!(text, ", {wait}");
    }
    text.push(']');
    if let Some(labels) = quoted(one.key.labels.iter()) {
        _ = write!(text, " {labels}");
    }
    text.push_str(":\n");
    match one.missing {
        Some(reason) => _ = writeln!(text, "\tstack unavailable: {reason}"),
        None => names.stack(one.key.stack).iter().for_each(|place| frames(place, names, one, &mut text)),
    }
    text.push('\n');
    text
}

/// The functions at one address.
fn frames(place: &Place, names: Names<'_>, one: &Alive, text: &mut String) {
    let module = || {
        let module = names.module(place.address, one.key.stack.epoch());
        module.map_or_else(|| "?".to_owned(), |(_, module)| plain(&module.path))
    };
    if place.shown().is_empty() {
        _ = writeln!(text, "{:#x}(...)\n\t{}:0", place.address, module());
    }
    for frame in place.shown() {
        _ = write!(text, "{}(...)\n\t", plain(frame.name()));
        match frame.file() {
            Some(file) => _ = write!(text, "{}:{}", plain(file), frame.line()),
            None => _ = write!(text, "{}:0", module()),
        }
        if let Some(offset) = frame.offset() {
            _ = write!(text, " +{offset:#x}");
        }
        text.push('\n');
    }
}

/// A time as headers have it, in its largest unit; Go says nothing below a minute, which is too late for us.
fn rounded(time: Duration) -> Option<String> {
    let seconds = time.as_secs();
    let (number, unit) = match seconds {
        0 => (u64::from(time.subsec_millis()), "ms"),
        1..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86400 => (seconds / 3600, "hour"),
        _ => (seconds / 86400, "day"),
    };
    match (number, unit) {
        (0, _) => None,
        (1, _) | (_, "ms") => Some(format!("{number} {unit}")),
        _ => Some(format!("{number} {unit}s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alive::Kind;
    use crate::snapshot::{Key, Places};
    use crate::store::{Labels, Stack};
    use crate::symbol::tests::{fix, snapshot_of};
    use crate::symbol::{Frame, Level};

    fn alive(n: u64, wait: u64) -> Alive {
        let key = Key {
            labels: Labels::of(&[("route", "/a b")]),
            ..Key::of(Stack::intern(&[0x71_0010, 0x71_0020], 0))
        };
        let wait = Some(Duration::from_secs(wait));
        Alive {
            kind: Kind::Thread,
            id: n,
            name: "w\"1".to_owned(),
            state: "futex",
            wait,
            key,
            missing: None,
            ours: false,
        }
    }

    #[test]
    fn a_block_is_as_gos_parsers_expect_it() {
        let frame = |name: &str, line| Frame::test(name, "src/a.rs", (line, 1), 0x71_0010, 0x71_0000);
        fix(0x71_0010, &[frame("a::inlined", 3), frame("a::b", 8)]);
        fix(0x71_0020, &[Frame::test("main", "", (0, 0), 0x71_0020, 0)]);
        let mut snapshot = snapshot_of(&[&[0x71_0010, 0x71_0020]], Places::Code);
        snapshot.alive =
            vec![alive(7, 150), Alive { missing: Some("it is stopped"), wait: None, ..alive(8, 0) }];
        snapshot.meta.comments = vec!["said".to_owned()];
        let mut text = Vec::new();
        write(&snapshot, Names::new(&snapshot, Level::Lines), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let main = text.lines().nth(6).unwrap_or_default();
        assert!(main.starts_with('\t') && main.ends_with(":0"), "{text}");
        let expected = format!(
            "thread 7 \"w\\\"1\" [futex, 2 minutes] {{\"route\":\"/a b\"}}:\na::inlined(...)\n\tsrc/a.rs:3 +0x10\na::b(...)\n\
             \tsrc/a.rs:8 +0x10\nmain(...)\n{main}\n\nthread 8 \"w\\\"1\" [futex] {{\"route\":\"/a b\"}}:\n\
             \tstack unavailable: it is stopped\n\n# said\n"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_too_much_is_left_out_and_said() {
        let mut snapshot = snapshot_of(&[&[0x71_0010]], Places::Code);
        snapshot.alive = (0..10).map(|n| alive(n, 1)).collect();
        let names = Names::new(&snapshot, Level::Raw);
        let (mut whole, mut cut) = (Vec::new(), Vec::new());
        write_at_most(&snapshot, names, usize::MAX, &mut whole).unwrap();
        write_at_most(&snapshot, names, whole.len() / 2, &mut cut).unwrap();
        let cut = String::from_utf8(cut).unwrap();
        assert_eq!(cut.matches("thread ").count(), 5);
        assert!(cut.contains("# 5 more are left out"), "{cut}");
    }

    #[test]
    fn times_are_in_their_largest_unit() {
        let of = |ms| rounded(Duration::from_millis(ms)).unwrap_or_default();
        assert_eq!(
            [of(0), of(20), of(1999), of(59_999), of(7_300_000)],
            ["", "20 ms", "1 second", "59 seconds", "2 hours"]
        );
        assert_eq!(of(90_000_000), "1 day");
    }
}
