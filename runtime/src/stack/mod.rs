//! Stacks: how they are taken, from a signal handler and from ordinary code alike.
use std::sync::Arc;

use crate::module::ModuleMap;
use crate::record::pseudo;
use crate::store::Stack;

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
    /// Lookup addresses, leaf first: the interrupted instruction, or a return address minus one.
    pub(crate) addresses: [u64; MAX_FRAMES],
}

impl Frames {
    pub(crate) const fn new() -> Frames {
        Frames { epoch: 0, len: 0, truncated: false, addresses: [0; MAX_FRAMES] }
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

/// Takes the stack of the caller into `frames`. `skip` 0 begins with the caller's own frame; each further one
/// leaves out one more physical frame.
#[inline(never)]
pub(crate) fn capture(frames: &mut Frames, _skip: usize) {
    frames.len = 0;
}

/// The same, interned.
#[inline(never)]
pub(crate) fn capture_interned(skip: usize) -> Stack {
    let mut frames = Frames::new();
    capture(&mut frames, skip + 1);
    frames.intern()
}

/// The modules now, with those that are gone. Ordinary code only: it may take the loader's lock.
pub(crate) fn modules() -> Arc<ModuleMap> {
    Arc::default()
}
