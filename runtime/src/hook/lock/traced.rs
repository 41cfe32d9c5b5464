//! Waits as the trace has them.
use crate::local::Inside;
use crate::stack;
use crate::store::Stack;
use crate::trace::record::{self, For};

/// A wait of this thread in the trace, until this is dropped.
pub(super) struct Traced(Option<For>);

impl Traced {
    #[inline(always)]
    pub(super) fn begin(what: For, stack: Option<Stack>) -> Traced {
        if !record::is_on() {
            return Traced(None);
        }
        record::wait_begins(what, stack);
        Traced(Some(what))
    }
}

impl Drop for Traced {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(what) = self.0 {
            record::wait_ends(what.class, what.object);
        }
    }
}

/// Tells the trace that those who wait for this go on, one or all of them, because of who is here.
#[cold]
#[inline(never)]
pub(crate) fn release(what: For) {
    let stack = {
        // A closure of ours would be a frame.
        let inside = Inside::enter();
        inside.is_some().then_some(stack::capture_interned(0))
    };
    record::releases(what, stack);
    stack::stay();
}
