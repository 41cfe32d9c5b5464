//! The one stack walk, for signal handlers and ordinary code alike.
//!
//! It must never allocate, lock, panic, format or call into libc, and it gets by on a few words of stack: the
//! handler may have 8 KiB. It reads the table, which is ours, and the walked stack through [`Memory`], which
//! refuses what may not be there. Whatever the registers hold, every step moves towards the stack's end.
//!
//! It does not cross signal frames: the code that a signal interrupted is another story than the handler's.
use super::row::{Escape, Plain, RBP, RSP, Row, Rule, Saved};
use super::table::{Span, Table};
use super::{Frames, MAX_FRAMES};
use crate::sys::stack::{Context, Memory, Registers};

/// Where a step led.
enum Step {
    Caller(Registers),
    /// There is no caller.
    Root,
    /// There may be one, but it cannot be found.
    Lost,
}

/// Walks from `registers` towards the root and fills `frames`.
///
/// With `context` the walk begins at the very instruction that a signal interrupted; without it `registers.pc` is a
/// return address. The first `skip` frames are left out.
///
/// The answer is whether all the code met is known to stay: else it may have been another module's.
pub(crate) fn walk(
    table: Option<&Table>,
    registers: Registers,
    context: Option<&Context>,
    memory: Memory,
    skip: usize,
    frames: &mut Frames,
) -> bool {
    frames.epoch = table.map_or(0, |table| table.epoch);
    let mut sure = true;
    let mut walk = Walk {
        address: registers.pc,
        sp: registers.sp,
        bp: registers.bp,
        leaf: context,
        memory,
        next: 0_usize.wrapping_sub(skip),
        addresses: &mut frames.addresses,
    };
    let mut left = if context.is_some() { walk.note() } else { walk.enter(registers) };
    frames.truncated = loop {
        if let Left::End { truncated } = left {
            break truncated;
        }
        let Some(table) = table else { break true };
        let span = table.find(walk.address);
        sure &= span.is_some_and(|span| !span.passing);
        let rule = match span {
            None => Rule::Gap,
            Some(span) => match walk.along(span) {
                Left::Special(row) => span.rule(row),
                elsewhere => {
                    left = elsewhere;
                    continue;
                }
            },
        };
        left = walk.special(rule, span.is_some(), table);
    };
    // Fewer than none: not even those to be skipped were there.
    frames.len = if walk.next > MAX_FRAMES { 0 } else { walk.next as u32 };
    sure
}

/// A walk under way.
struct Walk<'a> {
    /// Where we are: a lookup address.
    address: u64,
    sp: u64,
    bp: u64,
    /// This is the interrupted function still.
    leaf: Option<&'a Context>,
    memory: Memory,
    /// The next place in `addresses`; below zero, and round the corner, while frames are to be skipped.
    next: usize,
    addresses: &'a mut [u64; MAX_FRAMES],
}

/// Why a stretch of the walk is over.
enum Left {
    /// For other code.
    Elsewhere,
    /// For a row that is not plain.
    Special(Row),
    /// For good: at the root, or somewhere before it.
    End { truncated: bool },
}

impl Walk<'_> {
    /// Goes on as long as the code is `span`'s, in which we are, and the rows are plain. Nearly all frames of a stack
    /// are met here. All that a step needs of the one before are words in registers, and nothing but one look stands
    /// between one return address and the next.
    #[inline(never)]
    fn along(&mut self, span: &Span) -> Left {
        let (mut address, mut sp, mut bp, mut next) = (self.address, self.sp, self.bp, self.next);
        let left = loop {
            let Some(offset) = span.offset(address) else { break Left::Elsewhere };
            let row = span.row(offset);
            let Some(plain) = row.plain() else { break Left::Special(row) };
            let cfa = if plain.from_rbp { bp } else { sp }.wrapping_add(plain.offset);
            if cfa <= sp {
                break Left::End { truncated: true };
            }
            // A CFA that is odd, or beyond the stack's end, is refused here: words are aligned.
            let Some(pc) = self.memory.read(cfa.wrapping_sub(8)) else { break Left::End { truncated: true } };
            if plain.rbp != 0 {
                bp = self.memory.read(cfa.wrapping_add_signed(plain.rbp)).unwrap_or(bp);
            }
            sp = cfa;
            if pc == 0 {
                break Left::End { truncated: false };
            }
            address = pc.wrapping_sub(1);
            if let Some(slot) = self.addresses.get_mut(next) {
                *slot = address;
            } else if next == MAX_FRAMES {
                break Left::End { truncated: true };
            }
            next = next.wrapping_add(1);
        };
        if sp != self.sp {
            self.leaf = None;
        }
        (self.address, self.sp, self.bp, self.next) = (address, sp, bp, next);
        left
    }

    /// Notes the frame at `address`.
    fn note(&mut self) -> Left {
        if let Some(slot) = self.addresses.get_mut(self.next) {
            *slot = self.address;
        } else if self.next == MAX_FRAMES {
            return Left::End { truncated: true };
        }
        self.next = self.next.wrapping_add(1);
        Left::Elsewhere
    }

    /// Goes to the function that `caller.pc` returns to.
    fn enter(&mut self, caller: Registers) -> Left {
        if caller.pc == 0 {
            return Left::End { truncated: false };
        }
        // A return address may belong to the next function already: its call lies in front of it.
        (self.address, self.sp, self.bp) = (caller.pc.wrapping_sub(1), caller.sp, caller.bp);
        self.leaf = None;
        self.note()
    }

    /// A step by a row that is not plain.
    #[cold]
    fn special(&mut self, rule: Rule<'_>, in_module: bool, table: &Table) -> Left {
        let pc = self.address.wrapping_add(u64::from(self.leaf.is_none()));
        let now = Registers { pc, sp: self.sp, bp: self.bp };
        match seldom(now, rule, self.leaf, in_module, table, &mut self.memory) {
            Step::Caller(next) => self.enter(next),
            Step::Root => Left::End { truncated: false },
            Step::Lost => Left::End { truncated: true },
        }
    }
}

fn seldom(
    now: Registers,
    rule: Rule<'_>,
    leaf: Option<&Context>,
    in_module: bool,
    table: &Table,
    memory: &mut Memory,
) -> Step {
    match rule {
        Rule::Plt { threshold } => {
            let pushed = u64::from(now.pc & 15 >= threshold);
            let cfa = now.sp.wrapping_add(8).wrapping_add(pushed.wrapping_mul(8));
            caller(now, cfa, Saved::Same, memory)
        }
        Rule::Escape(escape) => escaped(now, escape, leaf, memory),
        Rule::Root => Step::Root,
        Rule::Stop => Step::Lost,
        Rule::Gap => guess(now, leaf.is_some(), in_module, table, memory),
    }
}

/// The caller's registers, by the frame's end.
fn caller(now: Registers, cfa: u64, saved: Saved, memory: &mut Memory) -> Step {
    if cfa <= now.sp || cfa > memory.end {
        return Step::Lost;
    }
    // An odd CFA is refused here: words are aligned.
    let Some(pc) = memory.read(cfa.wrapping_sub(8)) else { return Step::Lost };
    let slot = match saved {
        Saved::Same => None,
        Saved::AtCfa(offset) => Some(cfa.wrapping_add_signed(i64::from(offset))),
        Saved::AtRbp(offset) => Some(now.bp.wrapping_add_signed(i64::from(offset))),
    };
    let bp = slot.and_then(|slot| memory.read(slot)).unwrap_or(now.bp);
    Step::Caller(Registers { pc, sp: cfa, bp })
}

fn escaped(now: Registers, escape: &Escape, leaf: Option<&Context>, memory: &mut Memory) -> Step {
    let register = match escape.register {
        RSP => Some(now.sp),
        RBP => Some(now.bp),
        // Of the other registers only the interrupted function's are known.
        other => leaf.and_then(|context| context.register(other)),
    };
    let Some(register) = register else { return Step::Lost };
    let mut cfa = register.wrapping_add_signed(i64::from(escape.offset));
    if escape.indirect {
        let Some(word) = memory.read(cfa) else { return Step::Lost };
        cfa = word.wrapping_add_signed(i64::from(escape.addend));
    }
    caller(now, cfa, escape.rbp, memory)
}

/// One step without unwind information.
///
/// In a module's own text this is a stub or hand-written code, which as a leaf has pushed nothing; what it leads to has
/// to be code that we know. Elsewhere it is a just-in-time compiler's, which mostly keeps frame pointers. If it does not,
/// the registers and what lies on its stack may be anything, addresses of code included: the way out has to prove
/// itself.
fn guess(now: Registers, leaf: bool, in_module: bool, table: &Table, memory: &mut Memory) -> Step {
    let by_stack = |memory: &mut Memory| {
        let pc = memory.read(now.sp).filter(|_| leaf)?;
        table.is_code(pc).then_some(Registers { pc, sp: now.sp.wrapping_add(8), bp: now.bp })
    };
    let by_frame = |memory: &mut Memory| by_frame_pointer(now, memory);
    let found = if in_module {
        by_stack(memory).or_else(|| by_frame(memory).filter(|caller| table.is_code(caller.pc)))
    } else {
        // The nearer one first: a frame pointer that this code has left alone leads to some caller's caller, and on.
        let by_stack = by_stack(memory).filter(|&caller| leads_on(caller, table, memory));
        by_stack.or_else(|| by_frame(memory).filter(|&caller| leads_on(caller, table, memory)))
    };
    match found {
        Some(caller) => Step::Caller(caller),
        None if in_module && !leaf && memory.is_beginning(now.sp) => Step::Root,
        None => Step::Lost,
    }
}

/// The caller of a function that keeps a frame pointer, if this is one.
fn by_frame_pointer(now: Registers, memory: &mut Memory) -> Option<Registers> {
    let bp = memory.read(now.bp).filter(|_| now.bp >= now.sp)?;
    let pc = memory.read(now.bp.wrapping_add(8))?;
    Some(Registers { pc, sp: now.bp.wrapping_add(16), bp })
}

/// Frames of code without unwind information that are looked at ahead. So many in a row, each above the one before, are
/// proof enough.
const LINKS: usize = 16;

/// Whether what was guessed to be a caller is one: with frame pointers until there is code that we know, and from there
/// by its own rule to another place that may have called.
fn leads_on(mut caller: Registers, table: &Table, memory: &mut Memory) -> bool {
    for _ in 0..LINKS {
        let address = caller.pc.wrapping_sub(1);
        let Some(span) = table.find(address) else {
            match by_frame_pointer(caller, memory) {
                Some(next) => caller = next,
                None => return false,
            }
            continue;
        };
        let row = span.row_at(address);
        let next = match (row.plain(), span.rule(row)) {
            (Some(plain), _) => by_plain(caller, plain, memory),
            (None, Rule::Escape(escape)) => escaped(caller, escape, None, memory),
            (None, Rule::Root) => return true,
            // No call is in front of that.
            (None, Rule::Plt { .. } | Rule::Stop | Rule::Gap) => Step::Lost,
        };
        return match next {
            // Or called back by code of the same kind.
            Step::Caller(next) => table.is_code(next.pc) || by_frame_pointer(next, memory).is_some(),
            Step::Root => true,
            Step::Lost => false,
        };
    }
    true
}

/// The step that [`Walk::along`] makes, for a look ahead.
fn by_plain(now: Registers, plain: Plain, memory: &mut Memory) -> Step {
    let cfa = if plain.from_rbp { now.bp } else { now.sp }.wrapping_add(plain.offset);
    let saved = if plain.rbp == 0 { Saved::Same } else { Saved::AtCfa(plain.rbp as i32) };
    caller(now, cfa, saved, memory)
}

#[cfg(test)]
mod tests {
    use super::super::row::{FROM_RBP, PLT, ROOT, Row, Rows, STOP};
    use super::*;
    use std::sync::Arc;

    /// Code at 0x1000: a root of 256 bytes, a function with a frame of 32 bytes, one with `rbp`, a stub, a stop.
    fn table() -> Table {
        let row = |pc, cfa, rbp| Row { pc, cfa, rbp };
        let rows = Rows::new(
            vec![
                row(0, ROOT, 0),
                row(0x100, 4, -3),
                row(0x200, FROM_RBP | 2, -2),
                row(0x300, PLT, 11),
                row(0x400, STOP, 0),
                row(0x500, super::super::row::GAP, 0),
            ],
            vec![],
        );
        Table::new(3, vec![Span::new(0x1000..0x2000, 0x1000, Arc::new(rows), false)])
    }

    fn walked(words: &[u64], pc: u64, bp_at: usize, skip: usize) -> (Vec<u64>, bool) {
        let sp = words.as_ptr().expose_provenance() as u64;
        let end = sp + size_of_val(words) as u64;
        let registers = Registers { pc, sp, bp: sp + 8 * bp_at as u64 };
        let mut frames = Frames::new();
        walk(Some(&table()), registers, None, Memory::new(sp, Some((sp, end))), skip, &mut frames);
        assert_eq!(frames.epoch, 3);
        (frames.addresses().to_vec(), frames.truncated)
    }

    #[test]
    fn frames_of_both_kinds_lead_to_the_root() {
        let mut words = [0_u64; 12];
        // A frame of four words: locals, the caller's rbp, and the return address into the one with `rbp`.
        words[1] = words.as_ptr().addr() as u64 + 8 * 6;
        words[3] = 0x1210;
        // Its frame: rbp saved at 6, return address into the root at 7.
        words[7] = 0x1010;
        assert_eq!(walked(&words, 0x1150, 0, 0), (vec![0x114f, 0x120f, 0x100f], false));
        assert_eq!(walked(&words, 0x1150, 0, 2), (vec![0x100f], false));
        assert_eq!(walked(&words, 0x1150, 0, 9), (vec![], false));
        words[7] = 0;
        assert_eq!(walked(&words, 0x1150, 0, 0), (vec![0x114f, 0x120f], false), "nobody to return to");
        words[7] = 0x1410;
        assert_eq!(walked(&words, 0x1150, 0, 0), (vec![0x114f, 0x120f, 0x140f], true), "a rule beyond us");
        words[1] = words.as_ptr().addr() as u64;
        assert_eq!(walked(&words, 0x1150, 0, 0), (vec![0x114f, 0x120f], true), "backwards");
        assert_eq!(walked(&words[..3], 0x1150, 0, 0), (vec![0x114f], true), "beyond the stack's end");
    }

    #[test]
    fn unknown_code_is_left_by_its_frame_pointer_if_that_leads_home() {
        let mut words = [0_u64; 8];
        words[3] = 0x1010;
        assert_eq!(walked(&words, 0x9000, 2, 0), (vec![0x8fff, 0x100f], false));
        words[3] = 0x7777;
        assert_eq!(walked(&words, 0x9000, 2, 0), (vec![0x8fff], true));
        assert_eq!(walked(&words, 0x9000, 100, 0), (vec![0x8fff], true));
        // Whatever lies there and is an address of code: a function's, and nothing that it could return to.
        words[3] = 0x1150;
        assert_eq!(walked(&words, 0x9000, 2, 0), (vec![0x8fff], true));
        words[7] = 0x1010;
        assert_eq!(walked(&words, 0x9000, 2, 0), (vec![0x8fff, 0x114f, 0x100f], false));
        for nothing_calls in [0x1310, 0x1410, 0x1510] {
            words[3] = nothing_calls;
            assert_eq!(walked(&words, 0x9000, 2, 0), (vec![0x8fff], true), "{nothing_calls:x}");
        }
    }

    #[test]
    fn frames_of_unknown_code_lead_home_together_or_not_at_all() {
        let mut words = [0_u64; 100];
        let at = |words: &[u64; 100], n: usize| words.as_ptr().addr() as u64 + 8 * n as u64;
        // Forty frames of two words each, each above the one before.
        for n in 0..40 {
            (words[2 * n], words[2 * n + 1]) = (at(&words, 2 * n + 2), 0x9000);
        }
        words[81] = 0x1010;
        let (addresses, truncated) = walked(&words, 0x9000, 0, 0);
        assert_eq!((addresses.len(), addresses.last(), truncated), (42, Some(&0x100f), false));
        words[81] = 0x7777;
        let (addresses, truncated) = walked(&words, 0x9000, 0, 0);
        assert!(truncated && addresses.len() <= 41 - LINKS + 1, "{addresses:x?}");
        // A ring is not followed.
        words[6] = at(&words, 0);
        assert_eq!(walked(&words, 0x9000, 0, 0), (vec![0x8fff], true));
    }

    /// Only the interrupted function itself may have its return address on top of the stack.
    #[test]
    #[expect(unsafe_code, reason = "makes up what a signal handler is given")]
    fn callers_are_not_taken_for_the_interrupted_function() {
        // Longer than what may lie above the beginning of a thread, where musl's has no information.
        let mut words = [0_u64; 128];
        words[0] = 0x1010;
        words[3] = 0x1510;
        words[4] = 0x1010;
        let sp = words.as_ptr().expose_provenance() as u64;
        // SAFETY: zeros are a context, and it lives as long as the walk.
        let nothing: libc::ucontext_t = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        let context = unsafe { Context::new((&raw const nothing).cast()) };
        let interrupted = |pc| {
            let memory = Memory::new(sp, Some((sp, sp + size_of_val(&words) as u64)));
            let mut frames = Frames::new();
            walk(Some(&table()), Registers { pc, sp, bp: 0 }, Some(&context), memory, 0, &mut frames);
            (frames.addresses().to_vec(), frames.truncated)
        };
        assert_eq!(interrupted(0x1510), (vec![0x1510, 0x100f], false), "this is one");
        assert_eq!(interrupted(0x1150), (vec![0x1150, 0x150f], true), "this one called it");
    }

    #[test]
    fn a_deep_stack_is_cut_at_the_root_side() {
        let mut words = vec![0x1150_u64; 4 * 300];
        *words.last_mut().unwrap() = 0x1010;
        let (addresses, truncated) = walked(&words, 0x1150, 0, 0);
        assert_eq!((addresses.len(), truncated), (super::super::MAX_FRAMES, true));
        let (addresses, truncated) = walked(&words[4 * 173..], 0x1150, 0, 0);
        assert_eq!(
            (addresses.len(), truncated),
            (super::super::MAX_FRAMES, false),
            "just as deep as there is room"
        );
        assert_eq!(addresses.last(), Some(&0x100f));
    }
}
