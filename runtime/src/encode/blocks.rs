//! What is alive, one block each, in the layout of Go's stack dumps: a line that says who and in what state, then for each
//! function a line with its name and one with its place.
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::iter;
use std::time::Duration;

use super::text::{Quoted, lines_of, plain, quoted};
use crate::alive::{Alive, Kind};
use crate::snapshot::Snapshot;
use crate::store::Stack;
use crate::symbol::{Names, Place};

/// So much is written, as Go does; what is left out is said.
const MAX_BYTES: usize = 64 << 20;

pub(super) fn write(snapshot: &Snapshot, names: Names<'_>, w: &mut impl Write) -> io::Result<()> {
    write_at_most(snapshot, names, MAX_BYTES, w)
}

fn write_at_most(snapshot: &Snapshot, names: Names<'_>, most: usize, w: &mut impl Write) -> io::Result<()> {
    let mut written = 0;
    for (n, (one, depth)) in by_tree(&snapshot.alive).into_iter().enumerate() {
        let block = indented(block(one, names), depth);
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

/// In their order, but each future after the one that awaits it, and how deep it is among those.
fn by_tree(alive: &[Alive]) -> Vec<(&Alive, usize)> {
    let parent = |one: &Alive| one.facts.as_ref().map_or(0, |facts| facts.parent);
    let mut children: HashMap<u64, Vec<&Alive>> = HashMap::new();
    for one in alive.iter().filter(|one| parent(one) != 0) {
        children.entry(parent(one)).or_default().push(one);
    }
    let mut ordered = Vec::with_capacity(alive.len());
    let mut waiting: Vec<(&Alive, usize)> =
        alive.iter().rev().filter(|one| parent(one) == 0).map(|one| (one, 0)).collect();
    while let Some((one, depth)) = waiting.pop() {
        ordered.push((one, depth));
        if one.facts.is_some() {
            let inside = children.remove(&one.id).unwrap_or_default();
            waiting.extend(inside.into_iter().rev().map(|child| (child, depth + 1)));
        }
    }
    // Rings there are none; should there be one it is shown all the same.
    ordered.extend(children.into_values().flatten().map(|one| (one, 0)));
    ordered
}

fn indented(block: String, depth: usize) -> String {
    if depth == 0 {
        return block;
    }
    let indent = "  ".repeat(depth.min(MAX_DEPTH));
    let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("{indent}{line}\n") };
    block.lines().map(line).collect()
}

/// Deeper ones are as deep.
const MAX_DEPTH: usize = 40;

fn block(one: &Alive, names: Names<'_>) -> String {
    let mut text = String::new();
    let stacks =
        || iter::once(one.key.stack).chain(one.facts.iter().flat_map(|facts| facts.branches.iter().copied()));
    let stacks: Vec<Vec<Place>> = match one.missing {
        None => stacks().map(|stack| names.stack(stack)).collect(),
        Some(_) => Vec::new(),
    };
    _ = write!(text, "{} {} {} [{}", one.kind.word(), one.id, Quoted(&one.name), one.state);
    if let Some((file, line)) =
        stacks.first().filter(|_| one.kind == Kind::Task).and_then(|places| await_of(places))
    {
        _ = write!(text, " at {file}:{line}");
    }
    if let Some(wait) = one.wait.and_then(rounded) {
        _ = write!(text, ", {wait}");
    }
    if let Some(facts) = &one.facts {
        let polls = if facts.polls == 1 { "poll" } else { "polls" };
        _ = write!(text, ", {} {polls}", facts.polls);
        if let Some(busy) = rounded(facts.busy) {
            _ = write!(text, ", busy {busy}");
        }
        if let Some(age) = rounded(facts.age) {
            _ = write!(text, ", age {age}");
        }
    }
    text.push(']');
    if let Some(labels) = quoted(one.key.labels.iter()) {
        _ = write!(text, " {labels}");
    }
    text.push_str(":\n");
    if let Some(reason) = one.missing {
        _ = writeln!(text, "\tstack unavailable: {reason}");
    }
    let branches = stacks.len();
    for (n, places) in stacks.iter().enumerate() {
        if n > 0 {
            // A line and its place, as for a function.
            let (file, line) = await_of(places).unwrap_or(("?", 0));
            _ = writeln!(text, "[and at, {} of {branches}](...)\n\t{}:{line}", n + 1, plain(file));
        }
        places.iter().for_each(|place| frames(place, names, one, &mut text));
    }
    if let Some(maker) = one.facts.as_ref().and_then(|facts| facts.maker) {
        _ = writeln!(text, "created by {}\n\t{}:{}", plain(&one.name), plain(maker.file()), maker.line());
    }
    if let Some(creator) = one.creator {
        created_by(creator, names, &mut text);
    }
    text.push('\n');
    text
}

/// Where the program's own code awaits: the innermost function that is of no library.
fn await_of(places: &[Place]) -> Option<(&str, u32)> {
    let frames =
        || places.iter().flat_map(Place::shown).filter_map(|frame| Some((frame.file()?, frame.line())));
    let own =
        |file: &str| !["/rustc/", "/.cargo/registry/", "/library/"].iter().any(|part| file.contains(part));
    frames().find(|(file, _)| own(file)).or_else(|| frames().next())
}

/// Who started it, as Go says it of a goroutine.
fn created_by(creator: Stack, names: Names<'_>, text: &mut String) {
    let Some(frame) = names.creator(creator) else { return };
    _ = write!(text, "created by {}\n\t", plain(frame.name()));
    match frame.file() {
        Some(file) => _ = writeln!(text, "{}:{}", plain(file), frame.line()),
        None => {
            let module = names.module(frame.address(), creator.epoch());
            _ = writeln!(text, "{}:0", module.map_or("?".to_owned(), |(_, module)| plain(&module.path)));
        }
    }
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
    use crate::snapshot::{Key, Places};
    use crate::store::Labels;
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
            creator: None,
            ours: false,
            facts: None,
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
        fix(0x71_0030, &[Frame::test("std::thread::spawn", "src/std.rs", (1, 1), 0x71_0030, 0)]);
        fix(0x71_0040, &[Frame::test("a::starts", "src/a.rs", (9, 1), 0x71_0040, 0)]);
        snapshot.alive[0].creator = Some(Stack::intern(&[0x71_0030, 0x71_0040], 0));
        snapshot.meta.comments = vec!["said".to_owned()];
        let mut text = Vec::new();
        write(&snapshot, Names::new(&snapshot, Level::Lines), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let main = text.lines().nth(6).unwrap_or_default();
        assert!(main.starts_with('\t') && main.ends_with(":0"), "{text}");
        let expected = format!(
            "thread 7 \"w\\\"1\" [futex, 2 minutes] {{\"route\":\"/a b\"}}:\na::inlined(...)\n\tsrc/a.rs:3 +0x10\na::b(...)\n\
             \tsrc/a.rs:8 +0x10\nmain(...)\n{main}\ncreated by a::starts\n\tsrc/a.rs:9\n\nthread 8 \"w\\\"1\" [futex] {{\"route\":\"/a b\"}}:\n\
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
