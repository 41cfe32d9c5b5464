//! `std::sync::Barrier`, whose waits are in the profile `block`.
use crate::trace::event::Class;
use std::fmt;
use std::sync::BarrierWaitResult;

use super::waits;

/// [`std::sync::Barrier`], whose waits are in the profile `block`: all but that of the last to come.
pub struct Barrier(std::sync::Barrier);

impl Barrier {
    /// A barrier for `n` threads.
    #[must_use]
    #[inline]
    pub const fn new(n: usize) -> Barrier {
        Barrier(std::sync::Barrier::new(n))
    }

    /// Waits until all have come. One of them is told that it is the leader.
    pub fn wait(&self) -> BarrierWaitResult {
        waits(Class::Barrier, 0, || self.0.wait())
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
