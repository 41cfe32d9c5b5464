//! Who waits for whom: the profile `deadlock`, those who are told of it, and the order in which locks are taken.
//!
//! ```text
//!   a lock:   the number of the thread that holds it alone     \
//!   a thread: the lock it waits for, since when, its stack      >  graph: cycles  ->  report, watch
//!             the locks it holds, where their order is checked /
//!                    \--- order: A then B here, B then A there -------------------->
//! ```
//!
//! A lock's holder is one plain store beside its account, and another one at the release. Before a thread blocks it says
//! for what, in words of its own (`local::blocked`); what spins is not seen. Readers of one lock are many and have no word:
//! they are known only where the order of locks is checked, by what each thread holds.
//!
//! What a task holds it may hold on one thread and release on another: a lock of `tokio` has an owner here and an order if a
//! thread took it by `blocking_lock` or `blocking_write`, and none if a task did.
mod graph;
mod order;
mod report;
mod watch;

use crate::local;
use crate::local::Thread;
use crate::local::blocked::{Outer, Wait};

pub use order::check_order;
pub(super) use order::{Taken, checks, mask, released, taken};
pub use watch::{Cycle, watch};

/// A wait of this thread, for those who look, until this is dropped.
pub(super) struct Blocking {
    thread: Option<&'static Thread>,
    outer: Option<Outer>,
}

impl Blocking {
    pub(super) fn begin(wait: Wait<'_>) -> Blocking {
        let thread = local::with(local::thread);
        Blocking { thread, outer: thread.and_then(|thread| thread.blocked.begin(wait)) }
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        if let Some(thread) = self.thread {
            thread.blocked.end(self.outer.take());
        }
    }
}
