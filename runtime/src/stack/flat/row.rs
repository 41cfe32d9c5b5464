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

/// A plain row: the CFA is `rbp` or `rsp` and so many bytes; the caller's `rbp` lies so many bytes from it, or 0: it
/// is still in `rbp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plain {
    pub(crate) from_rbp: bool,
    pub(crate) offset: u64,
    pub(crate) rbp: i64,
}

impl Row {
    /// What a plain row says; of the others [`Rows::rule`] knows more.
    #[inline]
    pub(crate) fn plain(self) -> Option<Plain> {
        let words = self.cfa & !FROM_RBP;
        (words < SPECIAL).then_some(Plain {
            from_rbp: self.cfa & FROM_RBP != 0,
            offset: u64::from(words).wrapping_mul(8),
            rbp: i64::from(self.rbp).wrapping_mul(8),
        })
    }
}

/// What to do at an address whose row is not plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule<'a> {
    Plt { threshold: u64 },
    Escape(&'a Escape),
    Root,
    Stop,
    Gap,
}

/// One page of the index, in bytes of text.
const PAGE: u32 = 1024;

/// What a look-up finds where there is no row.
pub(crate) const NO_ROW: Row = Row { pc: 0, cfa: GAP, rbp: 0 };

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
    found: Box<[AtomicU64]>,
}

/// An address and the row that holds there, in one word: whoever reads it, a handler that interrupted the writer
/// included, sees both or neither. It never becomes wrong, as the rows never change.
///
/// The upper half is the address's complement, so that an empty place speaks of an address that no module has.
#[derive(Clone, Copy)]
struct Found(u64);

impl Found {
    fn new(pc: u32, row: Row) -> Found {
        Found(u64::from(!pc) << 32 | u64::from(row.cfa) << 16 | u64::from(row.rbp as u16))
    }

    #[inline]
    fn is_for(self, pc: u32) -> bool {
        (self.0 >> 32) as u32 == !pc
    }

    #[inline]
    fn row(self, pc: u32) -> Row {
        Row { pc, cfa: (self.0 >> 16) as u16, rbp: self.0 as i16 }
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
            found: std::iter::repeat_with(AtomicU64::default).take(found).collect(),
        }
    }

    /// The row that holds at `pc`, a distance from the module's first text address; of its `pc` only that it is not
    /// beyond.
    #[inline]
    pub(crate) fn find(&self, pc: u32) -> Row {
        // Return addresses differ most in their low bits.
        let place = (pc ^ (pc >> 12)) as usize & self.found.len().wrapping_sub(1);
        let Some(place) = self.found.get(place) else { return NO_ROW };
        let mut found = Found(place.load(Relaxed));
        if !found.is_for(pc) {
            found = self.find_first(pc, place);
        }
        found.row(pc)
    }

    #[cold]
    #[inline(never)]
    fn find_first(&self, pc: u32, place: &AtomicU64) -> Found {
        let found = Found::new(pc, self.search(pc));
        place.store(found.0, Relaxed);
        found
    }

    /// The row at `pc`, searched for.
    fn search(&self, pc: u32) -> Row {
        // Beyond the last page there is only the last row, which is a gap.
        let page = (pc / PAGE) as usize;
        let (Some(&first), Some(&end)) = (self.pages.get(page), self.pages.get(page.wrapping_add(1))) else {
            return NO_ROW;
        };
        // The library's own search would do, but for its frames in a debug build: a handler's stack is small.
        let (mut after, mut end) = (first as usize, end as usize);
        while after < end {
            let middle = after.midpoint(end);
            match self.rows.get(middle) {
                Some(row) if row.pc <= pc => after = middle.wrapping_add(1),
                _ => end = middle,
            }
        }
        // The row may well begin on an earlier page.
        match self.rows.get(after.wrapping_sub(1)) {
            Some(row) => *row,
            None => NO_ROW,
        }
    }

    /// What a row says that is not plain.
    pub(crate) fn rule(&self, row: Row) -> Rule<'_> {
        match row.cfa {
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
        size_of_val(&*self.rows)
            + size_of_val(&*self.pages)
            + size_of_val(&*self.escapes)
            + size_of_val(&*self.found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_up_to_the_next_one() {
        let row = |pc, cfa| Row { pc, cfa, rbp: 0 };
        let rows = Rows::new(vec![row(0, 1), row(5, 2), row(1023, 3), row(5000, 4), row(9000, GAP)], vec![]);
        for (pc, cfa) in [
            (0, 1),
            (4, 1),
            (5, 2),
            (1022, 2),
            (1023, 3),
            (1024, 3),
            (4096, 3),
            (4999, 3),
            (5000, 4),
            (8999, 4),
            (9000, GAP),
            (10_239, GAP),
            (u32::MAX, GAP),
        ] {
            assert_eq!(rows.find(pc).cfa, cfa, "at {pc}");
            assert_eq!(rows.find(pc).cfa, cfa, "at {pc}, met again");
        }
        assert_eq!(Rows::default().find(0), NO_ROW);
        assert_eq!(Rows::new(vec![row(8, 1)], vec![]).find(7).cfa, GAP, "before the first row");
    }

    /// 20 000 addresses share 64 places, in an order in which most are met again, and some after others took theirs.
    #[test]
    fn what_was_found_before_is_what_a_search_finds() {
        let row =
            |n: u32| Row { pc: n * 7, cfa: (FROM_RBP * (n % 2) as u16) | (n % 100) as u16, rbp: -(n as i16) };
        let rows = Rows::new((0..1000).map(row).collect(), vec![]);
        assert_eq!(rows.found.len(), FOUND.0);
        let mut random = crate::rate::Random::new(1);
        for n in 0..100_000 {
            let pc = (random.next() % if n % 2 == 0 { 50 } else { 20_000 }) as u32;
            let (found, searched) = (rows.find(pc), rows.search(pc));
            assert_eq!((found.cfa, found.rbp), (searched.cfa, searched.rbp), "at {pc}");
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
        let plain = |from_rbp, offset, rbp| Some(Plain { from_rbp, offset, rbp });
        assert_eq!(rows.find(0).plain(), plain(true, 16, -16));
        assert_eq!(rows.find(4).plain(), plain(false, 0x7fef * 8, -2400));
        let rule = |pc| {
            let row = rows.find(pc);
            assert_eq!(row.plain(), None);
            rows.rule(row)
        };
        assert_eq!(rule(1), Rule::Plt { threshold: 11 });
        assert_eq!(rule(2), Rule::Escape(&escape));
        assert_eq!(rule(3), Rule::Stop, "an escape that is not there");
    }
}
