//! One line a stack, `root;..;leaf value`, as flame graph tools take it.
//!
//! Those tools cut a line at its last space and a stack at every `;`, take a number before the value for a second
//! value, and drop lines that begin with `# `. A name in which they would see any of this is spelled a little
//! differently: see [`spelled`]. There is no way to escape, and no place for labels or comments.
use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::{self, Write};

use crate::snapshot::Snapshot;
use crate::symbol::Names;

/// The stacks of a snapshot by their names: rows that differ in labels, lines or addresses alone are one.
pub(super) struct Folded {
    /// Each name once, in order: the order of two numbers is that of their names.
    names: Vec<String>,
    /// Root first, and the sum of the value that tools show first. None is zero.
    stacks: Vec<(Vec<u32>, i64)>,
}

impl Folded {
    pub(super) fn new(snapshot: &Snapshot, names: Names<'_>) -> Folded {
        let mut known = Known::default();
        let mut sums: HashMap<Vec<u32>, i64> = HashMap::new();
        for sample in snapshot.samples() {
            let value = snapshot.shown().and_then(|(index, _)| sample.values().get(index)).copied();
            let Some(value) = value.filter(|&value| value != 0) else { continue };
            let mut stack = Vec::new();
            for place in names.stack(sample.row.key.stack).iter().rev() {
                match place.shown() {
                    // By the file, for addresses would not add up.
                    [] => stack.push(match names.module(place.address, sample.row.key.stack.epoch()) {
                        Some((_, module)) => known.id(&in_brackets(&module.path)),
                        None => known.id(&format!("{:#x}", place.address)),
                    }),
                    shown => stack.extend(shown.iter().rev().map(|frame| known.id(frame.name()))),
                }
            }
            if stack.is_empty() {
                stack.push(known.id(NAMELESS));
            }
            let sum = sums.entry(stack).or_default();
            *sum = sum.saturating_add(value);
        }
        sums.retain(|_, sum| *sum != 0);
        known.ordered(sums.into_iter().collect())
    }

    /// By name, frame after frame: stacks that share their callers stand together.
    #[cfg_attr(not(feature = "flamegraph"), expect(dead_code, reason = "only flame graphs are drawn so"))]
    pub(super) fn by_name(&self) -> impl ExactSizeIterator<Item = (Stack<'_>, i64)> + DoubleEndedIterator {
        self.stacks.iter().map(|(stack, value)| (Stack { names: &self.names, stack }, *value))
    }

    /// Greatest first.
    fn by_value(&self) -> impl Iterator<Item = (Stack<'_>, i64)> {
        let mut stacks: Vec<_> = self.stacks.iter().collect();
        stacks.sort_by_key(|(_, value)| Reverse(*value));
        stacks.into_iter().map(|(stack, value)| (Stack { names: &self.names, stack }, *value))
    }
}

/// `root;..;leaf`.
pub(super) struct Stack<'a> {
    names: &'a [String],
    stack: &'a [u32],
}

impl std::fmt::Display for Stack<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (depth, &id) in self.stack.iter().enumerate() {
            f.write_str(if depth == 0 { "" } else { ";" })?;
            f.write_str(self.names.get(id as usize).map_or(NAMELESS, String::as_str))?;
        }
        Ok(())
    }
}

/// Writes the value that tools show first, of each row that has one. Differences may be below zero; flame graph
/// tools count such lines as ignored.
pub(super) fn write(snapshot: &Snapshot, names: Names<'_>, w: &mut impl Write) -> io::Result<()> {
    Folded::new(snapshot, names).by_value().try_for_each(|(stack, value)| writeln!(w, "{stack} {value}"))
}

/// What stands where there is no name to show.
const NAMELESS: &str = "[unknown]";

/// Names as they are written, and the numbers they go by.
#[derive(Default)]
struct Known {
    /// By the name before it was spelled.
    ids: HashMap<String, u32>,
    spelled: HashMap<String, u32>,
}

impl Known {
    fn id(&mut self, name: &str) -> u32 {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        let next = self.spelled.len() as u32;
        let id = *self.spelled.entry(spelled(name)).or_insert(next);
        self.ids.insert(name.to_owned(), id);
        id
    }

    /// Numbers the names by their order, and the stacks with them.
    fn ordered(self, mut stacks: Vec<(Vec<u32>, i64)>) -> Folded {
        let mut names: Vec<(String, u32)> = self.spelled.into_iter().collect();
        names.sort();
        let mut places = vec![0; names.len()];
        for (place, &(_, id)) in (0..).zip(&names) {
            places[id as usize] = place;
        }
        for id in stacks.iter_mut().flat_map(|(stack, _)| stack) {
            *id = places[*id as usize];
        }
        stacks.sort();
        Folded { names: names.into_iter().map(|(name, _)| name).collect(), stacks }
    }
}

/// `[libc.so.6]`.
fn in_brackets(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    format!("[{}]", file.trim_start_matches('[').trim_end_matches(']'))
}

/// A text that stays on its line, in a terminal and in XML: control characters become spaces, and so do the two
/// characters that no XML may hold.
pub(super) fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'), " ")
}

/// A name as it can stand in a line: plain, with `:` for `;` and without spaces at its ends. The space before a number
/// at the end becomes `_`, and so does the one after a `#` at the beginning.
fn spelled(name: &str) -> String {
    let name = plain(name).replace(';', ":");
    let mut name = name.trim().to_owned();
    if let Some((head, tail)) = name.rsplit_once(' ')
        && tail.starts_with(|c: char| c.is_ascii_digit())
        && tail.chars().all(|c| c.is_ascii_digit() || c == '.')
    {
        name = format!("{head}_{tail}");
    }
    if let Some(rest) = name.strip_prefix("# ") {
        name = format!("#_{rest}");
    }
    if name.is_empty() { NAMELESS.to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ValueType;
    use crate::snapshot::{Key, Meta, Row};
    use crate::store;
    use crate::symbol::{Frame, tests::fix};

    fn folded(
        value_types: Vec<ValueType>,
        default_type: Option<usize>,
        rows: &[(&[u64], [i64; 4])],
    ) -> String {
        let meta = Meta { profile: "fakes", value_types, default_type, ..Meta::default() };
        let rows = rows
            .iter()
            .map(|&(stack, values)| Row { key: Key::of(store::Stack::intern(stack, 0)), values })
            .collect();
        let mut text = Vec::new();
        Snapshot::new(meta, rows, Default::default()).write(&mut text, crate::Format::Folded).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn named(address: u64, name: &str) -> u64 {
        fix(address, &[Frame::test(name, "", (0, 0), address, 0)]);
        address
    }

    #[test]
    fn the_value_is_the_one_that_tools_show_first() {
        let types = || vec![ValueType::new("first", "count"), ValueType::new("second", "bytes")];
        let stack: &[u64] = &[named(0x71_0010, "leaf"), named(0x71_0020, "root")];
        assert_eq!(folded(types(), None, &[(stack, [3, 40, 0, 0])]), "root;leaf 40\n");
        assert_eq!(folded(types(), Some(0), &[(stack, [3, 40, 0, 0])]), "root;leaf 3\n");
        // What is zero there is no line, whatever the others say.
        assert_eq!(folded(types(), Some(0), &[(stack, [0, 40, 0, 0])]), "");
        assert_eq!(folded(Vec::new(), None, &[(stack, [3, 40, 0, 0])]), "");
    }

    #[test]
    fn stacks_of_the_same_names_are_one_line() {
        let types = vec![ValueType::new("only", "count")];
        let [leaf, twin, root] =
            [named(0x72_0010, "leaf"), named(0x72_0020, "leaf"), named(0x72_0030, "root")];
        let rows: &[(&[u64], [i64; 4])] = &[
            (&[leaf, root], [3, 0, 0, 0]),
            (&[twin, root], [4, 0, 0, 0]),
            (&[root], [-1, 0, 0, 0]),
            (&[leaf], [8, 0, 0, 0]),
            (&[], [2, 0, 0, 0]),
        ];
        assert_eq!(folded(types, None, rows), "leaf 8\nroot;leaf 7\n[unknown] 2\nroot -1\n");
    }

    #[test]
    fn names_stay_in_their_line() {
        for (name, expected) in [
            ("a::b", "a::b"),
            ("<a as b<[u8; 8]>>::c", "<a as b<[u8: 8]>>::c"),
            ("two\nlines\tand\0more", "two lines and more"),
            (" x \r\n", "x"),
            ("", NAMELESS),
            ("\n", NAMELESS),
            ("step 2", "step_2"),
            ("step 2.5", "step_2.5"),
            ("step 1 2", "step 1_2"),
            ("step 2nd", "step 2nd"),
            ("step2", "step2"),
            ("# 1", "#_1"),
            ("# heading", "#_heading"),
            ("#x", "#x"),
            ("no\u{ffff}xml\u{fffe}", "no xml"),
            ("grüße", "grüße"),
        ] {
            assert_eq!(spelled(name), expected, "{name:?}");
        }
    }
}
