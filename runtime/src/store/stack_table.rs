#![expect(unsafe_code, reason = "records by numbers that threads noted")]
//! Each stack once.
use std::{fmt, ptr};

use super::arena::Noted;
use super::intern::{Record, Table};
use crate::record::pseudo;

/// Distinct stacks that are kept. Beyond it a new stack becomes [`Stack::other`]: at 30 frames a stack this
/// bounds the table at about 70 MB.
pub(crate) const MAX_STACKS: usize = 1 << 18;

static STACKS: Table<u64, (), MAX_STACKS> = Table::new();
/// Pseudo stacks are few, and are there even when the table is full.
static PSEUDO: Table<u64, (), 64, 64> = Table::new();

/// An interned stack: lookup addresses, leaf first.
///
/// A caller's address is its return address minus one, so that every address lies *in* the instruction it stands
/// for and nobody downstream has to know which kind it is.
#[derive(Clone, Copy)]
pub(crate) struct Stack(&'static Record<u64>);

impl Stack {
    /// The addresses, leaf first. Small numbers are `record::pseudo` places.
    pub(crate) fn addresses(self) -> &'static [u64] {
        self.0.elements()
    }

    /// The epoch of the module map that the addresses belong to.
    pub(crate) fn epoch(self) -> u32 {
        self.0.tag()
    }

    /// The one stack of these addresses; [`other`](Self::other), counted, when the table is full.
    pub(crate) fn intern(addresses: &[u64], epoch: u32) -> Stack {
        STACKS.intern(addresses, epoch).map_or_else(Stack::other, Stack)
    }

    /// A stack of one `record::pseudo` place.
    pub(crate) fn pseudo(address: u64) -> Stack {
        static NO_MEMORY: Record<u64> = Record::empty();
        Stack(PSEUDO.intern(&[address], 0).unwrap_or(&NO_MEMORY))
    }

    /// The stack that stands for all those that found no room.
    pub(crate) fn other() -> Stack {
        Stack::pseudo(pseudo::OTHER)
    }

    /// A number that is this stack's alone for as long as the process lives.
    pub(crate) fn id(self) -> usize {
        ptr::from_ref(self.0).addr()
    }

    /// The same, for [`exposed`](Self::exposed).
    pub(crate) fn expose(self) -> usize {
        ptr::from_ref(self.0).expose_provenance()
    }

    /// The stack of this number.
    ///
    /// # Safety
    /// The number comes from [`expose`](Self::expose).
    pub(crate) unsafe fn exposed(number: usize) -> Stack {
        // SAFETY: as promised; records live for ever.
        Stack(unsafe { &*ptr::with_exposed_provenance(number) })
    }

    /// How many times a stack became `[other]` for want of room.
    pub(crate) fn folded() -> usize {
        STACKS.refused()
    }
}

/// A place for a stack that any thread may look at.
pub(crate) struct StackCell(Noted<Record<u64>>);

impl StackCell {
    pub(crate) const fn new() -> StackCell {
        StackCell(Noted::new())
    }

    pub(crate) fn set(&self, stack: Option<Stack>) {
        self.0.set(stack.map(|stack| stack.0));
    }

    pub(crate) fn get(&self) -> Option<Stack> {
        self.0.get().map(Stack)
    }
}

impl PartialEq for Stack {
    fn eq(&self, other: &Stack) -> bool {
        ptr::eq(self.0, other.0)
    }
}

impl Eq for Stack {}

impl std::hash::Hash for Stack {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.addresses().iter().map(|address| format!("{address:#x}"))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_kept_once_and_by_content() {
        let one = Stack::intern(&[0x1000, 0x2000], 0);
        assert_eq!(one.addresses(), [0x1000, 0x2000]);
        assert_eq!(one, Stack::intern(&[0x1000, 0x2000], 0));
        assert_ne!(one, Stack::intern(&[0x1000, 0x2000], 1), "another epoch, another stack");
        assert_ne!(one, Stack::intern(&[0x1000], 0));
    }

    #[test]
    fn threads_that_meet_on_one_stack_agree() {
        let stacks: Vec<u64> = (0..500).map(|n| 0x10_0000 + n * 16).collect();
        let found: Vec<Vec<usize>> = std::thread::scope(|scope| {
            let meet = || stacks.iter().map(|&a| Stack::intern(&[a, a + 1, a + 2], 0).id()).collect();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(meet)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
