//! Waits as the trace has them.
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
