//! From `.eh_frame` to rows: ordinary code, run once for a module.
//!
//! What a compiler emits for x86-64 is far simpler than what DWARF allows. Anything that no row and no escape can
//! say becomes a place where walks stop, cut off and marked as such, and never a guess.
use std::borrow::Cow;
use std::ops::Range;

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, CommonInformationEntry, EhFrame, EhFrameHdr, EndianSlice,
    FrameDescriptionEntry, NativeEndian, Operation, Register, RegisterRule, UnwindContext,
    UnwindContextStorage, UnwindExpression, UnwindSection, UnwindTableRow,
};

use super::row::{ESCAPE, Escape, FROM_RBP, GAP, PLT, RBP, ROOT, RSP, Row, Rows, SPECIAL, STOP, Saved};
use crate::sys::modules::Loaded;

type Bytes<'a> = EndianSlice<'a, NativeEndian>;

/// A module's unwind information.
#[derive(Clone, Debug)]
pub(crate) struct Source<'a> {
    /// `.eh_frame`, borrowed from the module or copied while it was sure to be mapped.
    pub(crate) eh_frame: Cow<'a, [u8]>,
    /// Where it lies in this process: its pointers are relative to their own place.
    pub(crate) address: u64,
    /// The program's `main`, which may have none.
    pub(crate) main: Option<u64>,
}

impl<'a> Source<'a> {
    /// Finds the unwind information of `module`.
    pub(crate) fn find(module: &Loaded<'a>) -> Option<Source<'a>> {
        let header = module.eh_frame_hdr()?;
        let bases = BaseAddresses::default().set_eh_frame_hdr(header);
        let parsed = EhFrameHdr::new(module.bytes_from(header)?, NativeEndian).parse(&bases, 8).ok()?;
        let address = parsed.eh_frame_ptr().direct().ok()?;
        let bytes = module.bytes_from(address)?;
        let eh_frame = Cow::Borrowed(bytes.get(..extent(bytes)).unwrap_or_default());
        Some(Source { eh_frame, address, main: module.main() })
    }
}

/// How long a section is that only says so by an entry of no length.
fn extent(bytes: &[u8]) -> usize {
    let mut at = 0_usize;
    while let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
        match u32::from_ne_bytes(*length) {
            0 | u32::MAX => break,
            length => at = at.saturating_add(4).saturating_add(length as usize),
        }
    }
    at.min(bytes.len())
}

/// x86-64 has 17 registers of interest; the default storage is ten times larger.
#[derive(Debug)]
struct Small;

impl UnwindContextStorage<usize> for Small {
    type Rules = [(Register, RegisterRule<usize>); 24];
    type Stack = Box<[UnwindTableRow<usize, Self>; 6]>;
}

/// How far a `main` without unwind information reaches: rustc's takes about 40 bytes.
const MAIN: u64 = 64;

/// Distances below which a hole between two functions is padding, which no row is spent on.
const PADDING: u64 = 16;

/// The rows for the code in `text`.
pub(crate) fn build(source: &Source<'_>, text: Range<u64>) -> Rows {
    let section = EhFrame::new(&source.eh_frame, NativeEndian);
    let bases = BaseAddresses::default().set_eh_frame(source.address).set_text(text.start);
    let mut fdes = descriptions(&section, &bases);
    fdes.retain(|fde| fde.initial_address() >= text.start && fde.end_address() <= text.end && fde.len() != 0);
    fdes.sort_by_key(|fde| fde.initial_address());

    let mut builder = Builder { section, base: text.start, rows: Vec::new(), escapes: Vec::new() };
    let mut context = UnwindContext::<usize, Small>::new_in();
    let mut end = text.start;
    for fde in &fdes {
        let start = fde.initial_address();
        if start < end {
            continue; // Folded into the one before.
        }
        if start - end >= PADDING {
            builder.hole(end..start, source.main);
        }
        end = fde.end_address();
        builder.function(fde, &bases, &mut context);
    }
    builder.hole(end..text.end, source.main);
    Rows::new(builder.rows, builder.escapes)
}

/// Every function description of the section, as far as it can be read.
fn descriptions<'a>(
    section: &EhFrame<Bytes<'a>>,
    bases: &BaseAddresses,
) -> Vec<FrameDescriptionEntry<Bytes<'a>>> {
    let mut found = Vec::new();
    // Descriptions follow the common part that they share.
    let mut common: Option<(usize, CommonInformationEntry<Bytes<'a>>)> = None;
    let mut entries = section.entries(bases);
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else { continue };
        let fde = partial.parse(|section, bases, offset| match &common {
            Some((known, cie)) if *known == offset.0 => Ok(cie.clone()),
            _ => {
                let cie = section.cie_from_offset(bases, offset)?;
                common = Some((offset.0, cie.clone()));
                Ok(cie)
            }
        });
        found.extend(fde);
    }
    found
}

struct Builder<'a> {
    section: EhFrame<Bytes<'a>>,
    base: u64,
    rows: Vec<Row>,
    escapes: Vec<Escape>,
}

impl<'a> Builder<'a> {
    fn function(
        &mut self,
        fde: &FrameDescriptionEntry<Bytes<'a>>,
        bases: &BaseAddresses,
        context: &mut UnwindContext<usize, Small>,
    ) {
        let start = fde.initial_address();
        if fde.is_signal_trampoline() {
            return self.push(start, STOP, 0);
        }
        let encoding = fde.cie().encoding();
        let section = self.section;
        let Ok(mut table) = fde.rows(&section, bases, context) else { return self.push(start, STOP, 0) };
        let mut next = start;
        loop {
            match table.next_row() {
                Ok(Some(row)) => {
                    let (cfa, rbp) = self.rule(row, encoding);
                    self.push(row.start_address(), cfa, rbp);
                    next = row.end_address();
                }
                Ok(None) => return,
                // The rest of the function cannot be read.
                Err(_) => return self.push(next, STOP, 0),
            }
        }
    }

    /// Code without a description. A `main` among it is the outermost function there is to show.
    fn hole(&mut self, hole: Range<u64>, main: Option<u64>) {
        self.push(hole.start, GAP, 0);
        let Some(main) = main.filter(|main| hole.contains(main)) else { return };
        self.push(main, ROOT, 0);
        if hole.end - main > MAIN {
            self.push(main + MAIN, GAP, 0);
        }
    }

    /// Appends a row, unless it says what the one before says.
    fn push(&mut self, address: u64, cfa: u16, rbp: i16) {
        let Ok(pc) = u32::try_from(address.wrapping_sub(self.base)) else { return };
        match self.rows.last_mut() {
            Some(last) if (last.cfa, last.rbp) == (cfa, rbp) => {}
            Some(last) if last.pc == pc => (last.cfa, last.rbp) = (cfa, rbp),
            _ => self.rows.push(Row { pc, cfa, rbp }),
        }
    }

    fn rule(&mut self, row: &UnwindTableRow<usize, Small>, encoding: gimli::Encoding) -> (u16, i16) {
        match row.register(Register(16)) {
            Some(RegisterRule::Offset(-8)) => {}
            Some(RegisterRule::Undefined) => return (ROOT, 0),
            _ => return (STOP, 0),
        }
        let saved = match row.register(Register(u16::from(RBP))) {
            // What cannot be restored is rare, and mostly not needed by any caller.
            None | Some(RegisterRule::SameValue | RegisterRule::Undefined) => Some(Saved::Same),
            Some(RegisterRule::Offset(offset)) => i32::try_from(offset).ok().map(Saved::AtCfa),
            Some(RegisterRule::Expression(expression)) => match self.operations(&expression, encoding) {
                [Some(Op::Register(RBP, offset)), None, ..] => Some(Saved::AtRbp(offset)),
                _ => None,
            },
            Some(_) => None,
        };
        let Some(saved) = saved else { return (STOP, 0) };
        let (register, indirect, offset, addend) = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                match (u8::try_from(register.0), i32::try_from(*offset)) {
                    (Ok(register), Ok(offset)) => (register, false, offset, 0),
                    _ => return (STOP, 0),
                }
            }
            CfaRule::Expression(expression) => match self.operations(expression, encoding) {
                [Some(Op::Register(register, offset)), None, ..] => (register, false, offset, 0),
                [Some(Op::Register(register, offset)), Some(Op::Load), None, ..] => {
                    (register, true, offset, 0)
                }
                [Some(Op::Register(register, offset)), Some(Op::Load), Some(Op::Add(addend)), None, ..] => {
                    (register, true, offset, addend)
                }
                [
                    Some(Op::Register(register, offset)),
                    Some(Op::Load),
                    Some(Op::Constant(addend)),
                    Some(Op::Plus),
                    None,
                    ..,
                ] => (register, true, offset, addend),
                [
                    Some(Op::Register(RSP, 8)),
                    Some(Op::Register(16, 0)),
                    Some(Op::Constant(15)),
                    Some(Op::And),
                    Some(Op::Constant(threshold @ 0..16)),
                    Some(Op::GreaterOrEqual),
                    Some(Op::Constant(3)),
                    Some(Op::ShiftLeft),
                    Some(Op::Plus),
                ] if saved == Saved::Same => return (PLT, threshold as i16),
                _ => return (STOP, 0),
            },
        };
        plain(register, indirect, offset, saved)
            .unwrap_or_else(|| self.escape(Escape { register, indirect, offset, addend, rbp: saved }))
    }

    fn escape(&mut self, escape: Escape) -> (u16, i16) {
        let known = self.escapes.iter().rposition(|&known| known == escape);
        let index = known.unwrap_or(self.escapes.len());
        // Hand-written code has a few of these; a thousand different ones are not worth a longer search.
        if index >= 1 << 10 {
            return (STOP, 0);
        }
        if known.is_none() {
            self.escapes.push(escape);
        }
        (ESCAPE, index as i16)
    }

    /// The first operations of an expression. What we have no use for is [`Op::Other`].
    fn operations(&self, expression: &UnwindExpression<usize>, encoding: gimli::Encoding) -> [Option<Op>; 9] {
        let mut found = [None; 9];
        let Ok(expression) = expression.get(&self.section) else { return [Some(Op::Other); 9] };
        let mut operations = expression.operations(encoding);
        let mut slots = found.iter_mut();
        while let Some(operation) = operations.next().unwrap_or(Some(Operation::Nop)) {
            match slots.next() {
                Some(slot) => *slot = Some(Op::of(&operation)),
                None => return [Some(Op::Other); 9],
            }
        }
        found
    }
}

/// The row of a rule that fits into one.
fn plain(register: u8, indirect: bool, offset: i32, saved: Saved) -> Option<(u16, i16)> {
    let from_rbp = match register {
        RSP => 0,
        RBP => FROM_RBP,
        _ => return None,
    };
    let words = u16::try_from(offset / 8).ok().filter(|&words| words < SPECIAL)?;
    let rbp = match saved {
        Saved::Same => 0,
        Saved::AtCfa(offset) if offset % 8 == 0 && offset != 0 => i16::try_from(offset / 8).ok()?,
        _ => return None,
    };
    (!indirect && offset % 8 == 0).then_some((from_rbp | words, rbp))
}

/// The few operations that unwind expressions of real programs are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Register(u8, i32),
    Load,
    Add(i32),
    Constant(i32),
    And,
    GreaterOrEqual,
    ShiftLeft,
    Plus,
    Other,
}

impl Op {
    fn of(operation: &Operation<Bytes<'_>>) -> Op {
        let op = match *operation {
            Operation::RegisterOffset { register, offset, .. } => {
                u8::try_from(register.0).ok().zip(i32::try_from(offset).ok()).map(|(r, o)| Op::Register(r, o))
            }
            Operation::Deref { size: 8, space: false, .. } => Some(Op::Load),
            Operation::PlusConstant { value } => i32::try_from(value as i64).ok().map(Op::Add),
            Operation::UnsignedConstant { value } => i32::try_from(value).ok().map(Op::Constant),
            Operation::SignedConstant { value } => i32::try_from(value).ok().map(Op::Constant),
            Operation::And => Some(Op::And),
            Operation::Ge => Some(Op::GreaterOrEqual),
            Operation::Shl => Some(Op::ShiftLeft),
            Operation::Plus => Some(Op::Plus),
            _ => None,
        };
        op.unwrap_or(Op::Other)
    }
}
