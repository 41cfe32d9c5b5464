//! Futures that are profiled, from their first poll to their end: what is alive, who awaits whom, and what each waits for.
//!
//! ```text
//!   polled: a future's polls    park: the wakers that its leaves keep
//!      |                           |
//!   slot: what is known of it      wait: one place where it waits
//!      `--------------+------------'
//!                  report: profiles `tasks` and `await`
//! ```
mod labels;
mod named;
mod park;
mod polled;
mod report;
mod slot;
mod wait;
mod watch;

#[cfg(feature = "tokio")]
pub use named::spawn;
pub use named::{Instrumented, instrument};
pub use park::{Stacks, set_stacks};
pub use polled::{Polled, never};
pub use report::dump;
pub(crate) use report::{alive, comments};
#[cfg(not(profiled_portable))]
pub(crate) use slot::awaiting;
pub(crate) use slot::{Task, after_fork_in_child, count, polls_by_site};
pub use watch::{Stuck, watch};

use crate::local::Local;

/// What a thread keeps for its futures.
pub(crate) struct Spare {
    tasks: crate::store::slab::Cache<Task>,
    waits: crate::store::slab::Cache<wait::Wait>,
    labels: crate::store::slab::Cache<labels::Encoded>,
}

impl Spare {
    pub(crate) const fn new() -> Spare {
        Spare {
            tasks: crate::store::slab::Cache::new(),
            waits: crate::store::slab::Cache::new(),
            labels: crate::store::slab::Cache::new(),
        }
    }
}

/// This thread is about to end.
pub(crate) fn give_back(local: &Local) {
    slot::TASKS.flush(&local.spare.tasks);
    wait::WAITS.flush(&local.spare.waits);
    labels::LABELS.flush(&local.spare.labels);
}
