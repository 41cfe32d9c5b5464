//! For those who want to be told: a thread of ours that looks every so often.
use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use super::report::{self, Finding};
use crate::hook::watch::{self, Watch};
use crate::record::Format;
use crate::snapshot::Snapshot;

/// Calls `f` once for each deadlock, and, where [`check_order`](crate::deadlock::check_order) is on, for each two places
/// that take locks in both orders: within `every` of its coming about, those that are there already at once.
///
/// `every` is at least a millisecond. A look takes microseconds, some 20 ns a thread, and disturbs nobody.
///
/// `f` runs on a thread of ours, named `profiled-locks`, and holds no lock of ours: it may take its time, ask for profiles,
/// write files, drop the [`Watch`] or end the process. If it panics, the message is on standard error, and what it was
/// told counts as told. It must not take a lock of the deadlock, or it waits, too.
///
/// If the thread cannot be started, nobody watches; a line on standard error says so. In a forked child nobody watches.
///
/// ```
/// use std::time::Duration;
///
/// let watch = profiled::deadlock::watch(Duration::from_secs(1), |cycle| {
///     eprintln!("{cycle}");
///     if cycle.is_deadlock() {
///         std::process::abort(); // whoever supervises us starts us again
///     }
/// });
/// # drop(watch);
/// ```
pub fn watch(every: Duration, f: impl Fn(&Cycle) + Send + Sync + 'static) -> Watch {
    let mut told = HashSet::new();
    let look = move || {
        let found = report::findings(|is_deadlock, number| told.insert((is_deadlock, number)));
        found.into_iter().map(Cycle).collect()
    };
    watch::start("profiled-locks", "deadlocks", every.max(Duration::from_millis(1)), look, f)
}

/// Threads that wait for one another for ever, or locks that were taken in both orders.
///
/// Displayed it is what the profile `deadlock` says of it in text, with the stacks of all concerned.
pub struct Cycle(Finding);

impl Cycle {
    /// Whether it has struck; otherwise it is an order of locks that can.
    pub fn is_deadlock(&self) -> bool {
        self.0.is_deadlock
    }

    /// A number that it keeps for as long as the process lives, and that no other [deadlock](Self::is_deadlock) has, or no
    /// other order of locks: that of the label `cycle`.
    pub fn number(&self) -> u64 {
        self.0.number
    }

    /// The names of the threads, as the system has them: of a deadlock, each waits for what the next one holds. Empty is
    /// the name of a thread without one, or of any where the system does not tell.
    pub fn threads(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.threads.iter().map(String::as_str)
    }

    /// The names of the locks: of a deadlock, what each of the threads waits for; otherwise the two.
    pub fn locks(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.locks.iter().map(String::as_str)
    }

    /// The part of the profile `deadlock` that tells of it, to be written in any format.
    pub fn snapshot(&self) -> &Snapshot {
        &self.0.snapshot
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.snapshot().write(&mut text, Format::Text).map_err(|_| fmt::Error)?;
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl fmt::Debug for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cycle")
            .field("is_deadlock", &self.0.is_deadlock)
            .field("number", &self.0.number)
            .field("threads", &self.0.threads)
            .field("locks", &self.0.locks)
            .finish_non_exhaustive()
    }
}
