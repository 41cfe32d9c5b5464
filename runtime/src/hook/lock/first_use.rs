#![expect(unsafe_code, reason = "a lock moves out of a static at its first use")]
//! A lock in a static that cannot be taken apart in a constant.
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::{fmt, ops};

use super::Lock;
use crate::site::LockSite;

/// What `profile_mutex!` makes of a static lock of `parking_lot`: derefs to the profiled lock, which is made at the first
/// use, of what was given.
pub struct AtFirstUse<L: Lock> {
    site: &'static LockSite,
    /// There until `made` is.
    given: UnsafeCell<MaybeUninit<L>>,
    made: OnceLock<L::Wrapped>,
}

// SAFETY: what was given is moved, by one thread alone, and never shared; what is made is shared as it can be.
unsafe impl<L: Lock + Send> Sync for AtFirstUse<L> where L::Wrapped: Send + Sync {}

impl<L: Lock> AtFirstUse<L> {
    pub(super) const fn new(site: &'static LockSite, lock: L) -> AtFirstUse<L> {
        AtFirstUse { site, given: UnsafeCell::new(MaybeUninit::new(lock)), made: OnceLock::new() }
    }
}

impl<L: Lock> ops::Deref for AtFirstUse<L> {
    type Target = L::Wrapped;

    #[inline]
    fn deref(&self) -> &L::Wrapped {
        self.made.get_or_init(|| {
            // SAFETY: this runs once: `wrap_static` does not panic. Until now nobody had moved it, and nobody else is at it.
            unsafe { self.given.get().read().assume_init() }.wrap_static(self.site)
        })
    }
}

impl<L: Lock> Drop for AtFirstUse<L> {
    fn drop(&mut self) {
        if self.made.get().is_none() {
            // SAFETY: it was not moved.
            unsafe { self.given.get_mut().assume_init_drop() };
        }
    }
}

impl<L: Lock<Wrapped: fmt::Debug>> fmt::Debug for AtFirstUse<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
