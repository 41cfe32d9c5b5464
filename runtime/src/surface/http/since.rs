//! `/delta_heap` and its like: what came since somebody last asked this server.
//!
//! It keeps the last snapshot that was told of each of the three: with 10 000 rows about a megabyte.
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::error::Result;
use crate::fork::Lock;
use crate::snapshot::Snapshot;

/// The profiles that have such a page, as `delta_NAME`.
pub(super) const PROFILES: [&str; 3] = ["heap", "block", "mutex"];

/// What was told last, of each of [`PROFILES`].
pub(super) struct Told {
    begin: SystemTime,
    last: Lock<[Last; PROFILES.len()]>,
}

#[derive(Clone, Debug, Default)]
struct Last {
    /// How many times it was told.
    times: u64,
    snapshot: Option<Arc<Snapshot>>,
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").finish_non_exhaustive()
    }
}

impl Default for Told {
    fn default() -> Self {
        Told { begin: SystemTime::now(), last: Lock::new(Default::default()) }
    }
}

impl Told {
    /// Tells what came since the last time, or since the program began; what counts as told is what `tell` succeeded
    /// with. Of several who ask at once each gets a part of its own.
    pub(super) fn tell<T>(
        &self,
        which: usize,
        snapshot: impl Fn() -> Snapshot,
        tell: impl Fn(Snapshot) -> Result<T>,
    ) -> Result<T> {
        loop {
            let Last { times, snapshot: before } = self.last.lock()[which].clone();
            let now = snapshot();
            let before = before.unwrap_or_else(|| Arc::new(now.nothing(self.begin)));
            let told = tell(now.delta(&before)?)?;
            let mut last = self.last.lock();
            let last = &mut last[which];
            if last.times == times {
                *last = Last { times: times + 1, snapshot: Some(Arc::new(now)) };
                return Ok(told);
            }
            // Somebody else was told the same meanwhile.
        }
    }
}
