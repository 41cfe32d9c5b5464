//! How to get from a function to its caller, eight bytes a stretch of code.
//!
//! A module's `.eh_frame` is a small program for every function. `build` runs them all once and keeps what an
//! x86-64 stack walk needs: where the frame ends (the CFA) and where the caller's `rbp` was saved. The return
//! address always lies right below the CFA; where it does not, nobody walks further.
//!
//! Rows are plain memory of ours, written once: `dlclose` cannot pull them away and a signal handler can read them.
//! Beside them lies what was found lately, so that code which is met again costs one look instead of a search.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What holds from `pc` up to the next row's `pc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Row {
    /// Distance from the module's first text address.
    pub(crate) pc: u32,
    /// The top bit says `rbp` rather than `rsp`; the rest is the distance from there to the CFA in words, or one
    /// of the special values from [`SPECIAL`] up.
    pub(crate) cfa: u16,
    /// Where the caller's `rbp` lies, in words from the CFA; 0: it is still in `rbp`. Of an [`ESCAPE`] row the
    /// index into the escapes, of a [`PLT`] row the threshold.
    pub(crate) rbp: i16,
}

/// The bit that says that the CFA is counted from `rbp`.
pub(crate) const FROM_RBP: u16 = 0x8000;
/// The first special value: frames of this size in words, 256 KiB, and larger ones are escapes.
pub(crate) const SPECIAL: u16 = 0x7ff0;
/// No code, or code without unwind information.
pub(crate) const GAP: u16 = SPECIAL;
/// The outermost function of a thread.
pub(crate) const ROOT: u16 = SPECIAL + 1;
/// A signal frame, or a rule that is beyond us: the walk ends here, cut off.
pub(crate) const STOP: u16 = SPECIAL + 2;
/// A stub of the procedure linkage table: it has pushed a word from its byte `rbp` on.
pub(crate) const PLT: u16 = SPECIAL + 3;
/// The rule is in the escapes.
pub(crate) const ESCAPE: u16 = SPECIAL + 4;

/// DWARF's numbers of the registers that a walk follows.
pub(crate) const RBP: u8 = 6;
pub(crate) const RSP: u8 = 7;

/// A rule that does not fit into a row: a large frame, another register, or memory that holds the CFA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Escape {
    /// The register that the CFA is counted from, by its DWARF number.
    pub(crate) register: u8,
    /// Whether the CFA is `*(register + offset) + addend`, rather than `register + offset`.
    pub(crate) indirect: bool,
    pub(crate) offset: i32,
    pub(crate) addend: i32,
    pub(crate) rbp: Saved,
}

/// Where the caller's `rbp` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Saved {
    /// Still in `rbp`.
    Same,
    /// At this distance in bytes from the CFA.
    AtCfa(i32),
    /// At this distance in bytes from `rbp` (functions that align their stack).
    AtRbp(i32),
}

/// What to do at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule<'a> {
    /// The CFA is `rbp` or `rsp` and so many bytes; the caller's `rbp` lies so many bytes from it, or 0: in `rbp`.
    Plain {
        from_rbp: bool,
        offset: u32,
        rbp: i32,
    },
    Plt {
        threshold: u64,
    },
    Escape(&'a Escape),
    Root,
    Stop,
    Gap,
}

/// One page of the index, in bytes of text.
const PAGE: u32 = 1024;

/// What a look-up finds where there is no row.
const NO_ROW: Row = Row { pc: 0, cfa: GAP, rbp: 0 };

/// Rows for which there is one place in the memory of found ones: 1/16 of the rows' size, or a little more.
const ROWS_PER_FOUND: usize = 16;

/// That memory in places: a power of two between these. Call sites that are met in one run are hundreds to thousands.
const FOUND: (usize, usize) = (64, 8192);

/// The rows of one module, in order.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    rows: Box<[Row]>,
    /// For each page of text the first row that begins in it or later, and the number of rows at the end: a
    /// lookup searches the few rows of one page.
    pages: Box<[u32]>,
    escapes: Box<[Escape]>,
    /// Rows by the address they were found for, see [`Found`]; a power of two of them, or none.
    found: Box<[Found]>,
}

/// An address and the row that holds there, in one word: whoever reads it, a handler that interrupted the writer
/// included, sees both or neither. It never becomes wrong, as the rows never change. What is stored is turned so that
/// an empty place says what is true of an address that no module has: that it lies in a gap.
#[derive(Debug, Default)]
struct Found(AtomicU64);

impl Found {
    const EMPTY: u64 = Found::word(u32::MAX, NO_ROW);

    const fn word(pc: u32, row: Row) -> u64 {
        (pc as u64) << 32 | (row.cfa as u64) << 16 | row.rbp as u16 as u64
    }

    #[inline]
    fn get(&self, pc: u32) -> Option<Row> {
        let word = self.0.load(Relaxed) ^ Found::EMPTY;
        (word >> 32 == u64::from(pc)).then_some(Row { pc, cfa: (word >> 16) as u16, rbp: word as i16 })
    }

    fn set(&self, pc: u32, row: Row) {
        self.0.store(Found::word(pc, row) ^ Found::EMPTY, Relaxed);
    }
}

impl Rows {
    /// Takes `rows`, sorted by `pc`.
    pub(crate) fn new(rows: Vec<Row>, escapes: Vec<Escape>) -> Rows {
        let last = rows.last().map_or(0, |row| row.pc / PAGE + 1);
        let mut pages = Vec::with_capacity(last as usize + 2);
        let mut next = 0;
        for page in 0..=last {
            while rows.get(next).is_some_and(|row| row.pc / PAGE < page) {
                next += 1;
            }
            pages.push(next as u32);
        }
        pages.push(rows.len() as u32);
        let found = (rows.len() / ROWS_PER_FOUND).next_power_of_two().clamp(FOUND.0, FOUND.1);
        Rows {
            rows: rows.into(),
            pages: pages.into(),
            escapes: escapes.into(),
            found: std::iter::repeat_with(Found::default).take(found).collect(),
        }
    }

    /// The rule at `pc`, a distance from the module's first text address.
    #[inline(always)]
    pub(crate) fn find(&self, pc: u32) -> Rule<'_> {
        // Return addresses differ most in their low bits.
        let place = (pc ^ (pc >> 12)) as usize & self.found.len().wrapping_sub(1);
        let Some(found) = self.found.get(place) else { return Rule::Gap };
        let row = found.get(pc).unwrap_or_else(|| {
            let row = self.search(pc);
            found.set(pc, row);
            row
        });
        self.rule(row)
    }

    /// The row at `pc`, searched for.
    #[inline(never)]
    fn search(&self, pc: u32) -> Row {
        // Beyond the last page there is only the last row, which is a gap.
        let page = (pc / PAGE) as usize;
        let (Some(&first), Some(&end)) = (self.pages.get(page), self.pages.get(page.wrapping_add(1))) else {
            return NO_ROW;
        };
        let within = self.rows.get(first as usize..end as usize).unwrap_or_default();
        let after = (first as usize).wrapping_add(within.partition_point(|row| row.pc <= pc));
        // The row may well begin on an earlier page.
        self.rows.get(after.wrapping_sub(1)).copied().unwrap_or(NO_ROW)
    }

    #[inline(always)]
    fn rule(&self, row: Row) -> Rule<'_> {
        match row.cfa & !FROM_RBP {
            words if words < SPECIAL => Rule::Plain {
                from_rbp: row.cfa & FROM_RBP != 0,
                offset: u32::from(words).wrapping_mul(8),
                rbp: i32::from(row.rbp).wrapping_mul(8),
            },
            ROOT => Rule::Root,
            STOP => Rule::Stop,
            PLT => Rule::Plt { threshold: u64::from(row.rbp.unsigned_abs()) },
            ESCAPE => self.escapes.get(usize::from(row.rbp as u16)).map_or(Rule::Stop, Rule::Escape),
            _ => Rule::Gap,
        }
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.rows) + size_of_val(&*self.pages) + size_of_val(&*self.escapes) + size_of_val(&*self.found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_up_to_the_next_one() {
        let row = |pc, cfa| Row { pc, cfa, rbp: 0 };
        let plain = |words: u32| Rule::Plain { from_rbp: false, offset: words * 8, rbp: 0 };
        let rows = Rows::new(vec![row(0, 1), row(5, 2), row(1023, 3), row(5000, 4), row(9000, GAP)], vec![]);
        for (pc, rule) in [
            (0, plain(1)),
            (4, plain(1)),
            (5, plain(2)),
            (1022, plain(2)),
            (1023, plain(3)),
            (1024, plain(3)),
            (4096, plain(3)),
            (4999, plain(3)),
            (5000, plain(4)),
            (8999, plain(4)),
            (9000, Rule::Gap),
            (10_239, Rule::Gap),
            (u32::MAX, Rule::Gap),
        ] {
            assert_eq!(rows.find(pc), rule, "at {pc}");
            assert_eq!(rows.find(pc), rule, "at {pc}, met again");
        }
        assert_eq!(Rows::default().find(0), Rule::Gap);
        assert_eq!(Rows::new(vec![row(8, 1)], vec![]).find(7), Rule::Gap, "before the first row");
    }

    /// 20 000 addresses share 64 places, in an order in which most are met again, and some after others took theirs.
    #[test]
    fn what_was_found_before_is_what_a_search_finds() {
        let row = |n: u32| Row { pc: n * 7, cfa: FROM_RBP * (n % 2) as u16 | (n % 100) as u16, rbp: -(n as i16) };
        let rows = Rows::new((0..1000).map(row).collect(), vec![]);
        assert_eq!(rows.found.len(), FOUND.0);
        let mut random = crate::rate::Random::new(1);
        for n in 0..100_000 {
            let pc = (random.next() % if n % 2 == 0 { 50 } else { 20_000 }) as u32;
            assert_eq!(rows.find(pc), rows.rule(rows.search(pc)), "at {pc}");
        }
    }

    #[test]
    fn rules_read_as_they_were_written() {
        let escape = Escape { register: 12, indirect: true, offset: -8, addend: 16, rbp: Saved::AtRbp(0) };
        let rows = Rows::new(
            vec![
                Row { pc: 0, cfa: FROM_RBP | 2, rbp: -2 },
                Row { pc: 1, cfa: PLT, rbp: 11 },
                Row { pc: 2, cfa: ESCAPE, rbp: 0 },
                Row { pc: 3, cfa: ESCAPE, rbp: 1 },
                Row { pc: 4, cfa: SPECIAL - 1, rbp: -300 },
            ],
            vec![escape],
        );
        assert_eq!(rows.find(0), Rule::Plain { from_rbp: true, offset: 16, rbp: -16 });
        assert_eq!(rows.find(1), Rule::Plt { threshold: 11 });
        assert_eq!(rows.find(2), Rule::Escape(&escape));
        assert_eq!(rows.find(3), Rule::Stop, "an escape that is not there");
        assert_eq!(rows.find(4), Rule::Plain { from_rbp: false, offset: 0x7fef * 8, rbp: -2400 });
    }
}
