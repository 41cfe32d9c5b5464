#![expect(unsafe_code, reason = "projects a pin to the future inside")]
//! The one pin of this room.
use std::pin::Pin;

/// The future inside, which `of` gives.
#[inline(always)]
pub(super) fn future<T, F>(outer: Pin<&mut T>, of: impl FnOnce(&mut T) -> &mut F) -> Pin<&mut F> {
    // SAFETY: those who call this have the future as a plain field, never move it, and have no `Drop`.
    unsafe { outer.map_unchecked_mut(of) }
}
