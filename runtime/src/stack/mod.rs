//! Stacks: how they are taken.
//!
//! Where we know the machine, by our own flat table, from a signal handler and from ordinary code alike; elsewhere by
//! the standard unwinder, from ordinary code.
#[cfg(not(profiled_portable))]
mod flat;
#[cfg(not(profiled_portable))]
use flat as way;

#[cfg(profiled_portable)]
mod standard;
#[cfg(profiled_portable)]
use standard as way;

use crate::record::pseudo;
use crate::store::Stack;

pub use way::observe;
pub(crate) use way::{after_fork_in_child, capture, memory, modules, prepare, with_modules};
#[cfg(not(profiled_portable))]
pub(crate) use way::{capture_context, capture_context_below, is_in_system_call};

/// To be called after a call that takes a stack and counts on the frame of whoever made it: a call that is the last thing
/// a function does may become a jump, and then the frame that is left out is the program's.
#[inline(always)]
pub(crate) fn stay() {
    std::hint::black_box(&mut 0_u8);
}

/// Frames kept of a stack, counted from the leaf.
pub(crate) const MAX_FRAMES: usize = 128;

/// A stack as it is taken: plain memory that the caller provides, so that taking one allocates nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frames {
    /// The epoch of the module map, see [`crate::module`].
    pub(crate) epoch: u32,
    /// How many of `addresses` are set.
    pub(crate) len: u32,
    /// The walk did not reach the root.
    pub(crate) truncated: bool,
    /// Where it is to end: in the frame that holds this address. 0: at the root.
    below: u64,
    /// Lookup addresses, leaf first: the interrupted instruction, or a return address minus one.
    pub(crate) addresses: [u64; MAX_FRAMES],
}

impl Frames {
    pub(crate) const fn new() -> Frames {
        Frames { epoch: 0, len: 0, truncated: false, below: 0, addresses: [0; MAX_FRAMES] }
    }

    pub(crate) fn addresses(&self) -> &[u64] {
        &self.addresses[..(self.len as usize).min(MAX_FRAMES)]
    }

    /// The interned stack; one that was cut ends in `[truncated]`, an empty one is `[unknown]`.
    pub(crate) fn intern(&self) -> Stack {
        match (self.addresses(), self.truncated) {
            ([], _) => Stack::pseudo(pseudo::UNKNOWN),
            (addresses, false) => Stack::intern(addresses, self.epoch),
            (addresses, true) => {
                let mut marked = [0; MAX_FRAMES + 1];
                marked[..addresses.len()].copy_from_slice(addresses);
                marked[addresses.len()] = pseudo::TRUNCATED;
                Stack::intern(&marked[..addresses.len() + 1], self.epoch)
            }
        }
    }
}

/// Takes the frames between the caller's own, included, and the one that holds the address `below` on the stack, which is
/// the last.
#[inline(always)]
pub(crate) fn capture_below(frames: &mut Frames, below: u64) {
    frames.below = below;
    capture(frames, 0);
    // It ends where it was to end.
    frames.truncated = frames.len as usize == MAX_FRAMES;
}

/// The same as [`capture`], interned.
#[inline(never)]
pub(crate) fn capture_interned(skip: usize) -> Stack {
    let mut frames = Frames::new();
    capture(&mut frames, skip.saturating_add(1));
    frames.intern()
}
