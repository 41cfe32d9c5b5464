//! The execution trace: what happened when, on which thread and in which future. For Go's viewer, `go tool trace`, and for
//! Perfetto's, <https://ui.perfetto.dev>.
//!
//! A thread is a goroutine in Go's viewer, and so is a future that is polled; what is polled inside of another one is a
//! region of its, as are functions and regions. A wait has a reason that says for what, and of a lock which; who ends it is
//! known of locks, with its stack. Waits shorter than a microsecond are not in it. Where a future waits, and who woke it, is
//! noted as often as [`tasks::set_stacks`](crate::tasks::set_stacks) says. Regions have no stacks: they cost some 25 ns each.
//!
//! In Perfetto's viewer threads, futures, and users' tasks have rows of their own, with slices: a future's are its polls and
//! what it awaits, and polls are on their threads, too. Arrows go from who spawns, wakes, or lets go to who goes on, and from a
//! task along its regions. A lock has a row that counts who waits for it. Such a file is some two and a half times as large.
//!
//! While somebody records ([`start`]) every thread notes what it does: [`region`]s,
//! [`task`]s and messages of the program's, functions marked [`#[profiled]`](crate::profiled), polls of profiled
//! futures, waits for profiled locks and for [`block::region`](crate::block::region)s, and, with the feature `interpose`, all
//! waits for futexes. While nobody does each of these is one look at a word.
//!
//! ```standalone_crate
//! use profiled::trace;
//!
//! let session = trace::start(std::io::sink(), trace::Format::Go)?; // a `File` is what one would use
//! {
//!     let _task = trace::task("checkout");
//!     let _region = trace::region("payment");
//!     trace::log!("order", "{} items", 3); // formatted only while somebody records
//! }
//! let summary = session.stop()?;
//! assert_eq!(summary.events, 5); // two begin, one message, two end
//! # Ok::<(), profiled::Error>(())
//! ```

//
//   hooks -> record: buffers of the threads -> hub: one stream in the order of time -> an encoder a session -> its writer
//
// `record`, `samples`, and what they need (`pool`, `raw`) run on the program's threads and know nobody who reads. All else runs on the
// thread `profiled-trace`, which is there while somebody records.
pub(crate) mod api;
pub(crate) mod event;
pub(crate) mod flight;
mod go;
mod hub;
#[cfg(feature = "tracing")]
pub(crate) mod layer;
mod perfetto;
mod pin;
pub(crate) mod polls;
mod pool;
mod raw;
pub(crate) mod record;
pub(crate) mod samples;
mod session;
mod stream;
mod tables;
mod text;

pub use crate::__profiled_trace_log as log;
pub use api::{Format, InTask, Region, Session, Task, is_enabled, log, region, start, task};
pub use flight::{Builder, Cause, FlightRecorder, Snapshot, Status};
pub use session::Summary;

/// In a forked child nobody records.
pub(crate) fn after_fork_in_child() {
    record::after_fork_in_child();
    hub::after_fork_in_child();
    flight::after_fork_in_child();
}
