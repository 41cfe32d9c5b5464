//! Any other wait, timed and labelled.
use super::traced::Traced;
use super::waiting::Waiting;
use crate::trace::event::Class;
use crate::trace::record::For;
use crate::{clock, stack, trap};

/// Times a wait that is none of a lock's, from here until the result is dropped: an event of `block`, at this place,
/// with the label `region`.
///
/// ```
/// fn rows() -> Vec<u32> {
///     let _waiting = profiled::block::region("db.query");
///     // ..
///     # Vec::new()
/// }
/// # rows();
/// ```
///
/// While it lasts it is in `block` with the time so far. It may be dropped on another thread. With the feature `interpose`,
/// what waits for a futex in there has a row of its own besides.
#[inline(never)]
pub fn region(name: &'static str) -> Region {
    trap::not_in_handler(trap::LOCKS);
    let waiting = Waiting::begin(clock::ticks(), 0, Some(("region", name)));
    let traced = Traced::begin(For { name, ..For::class(Class::Region) }, waiting.stack());
    let region = Region { waiting, traced, name };
    stack::stay();
    region
}

/// A wait, until it is dropped. Made by [`block::region`](crate::block::region).
#[must_use = "dropping it ends the region at once"]
pub struct Region {
    #[expect(dead_code, reason = "it is there for its drop")]
    waiting: Waiting,
    #[expect(dead_code, reason = "the same")]
    traced: Traced,
    name: &'static str,
}

impl std::fmt::Debug for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Region").field("name", &self.name).finish_non_exhaustive()
    }
}
