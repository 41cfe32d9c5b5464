//! What every poll of a future has to ask, in one word.
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Whether futures are there that another process began, whether anybody records, and below that a byte that `hook::task` has to
/// itself.
static WORD: AtomicU32 = AtomicU32::new(0);
const TRACED: u32 = 1 << 8;
const FORKED: u32 = 1 << 9;

#[inline(always)]
pub(crate) fn word() -> u32 {
    WORD.load(Relaxed)
}

/// Whether the word says that somebody records, or that polls adopt futures of another process.
#[inline(always)]
pub(crate) fn is_rare(word: u32) -> bool {
    word & (TRACED | FORKED) != 0
}

/// From now on polls adopt their futures.
pub(crate) fn set_forked() {
    WORD.fetch_or(FORKED, Relaxed);
}

pub(super) fn set_traced(traced: bool) {
    if traced {
        WORD.fetch_or(TRACED, Relaxed)
    } else {
        WORD.fetch_and(!TRACED, Relaxed)
    };
}

/// Sets the byte below, and gives what it was.
pub(crate) fn swap(byte: u8) -> u8 {
    let set = |word| Some(word & !0xff | u32::from(byte));
    let (Ok(before) | Err(before)) = WORD.fetch_update(Relaxed, Relaxed, set);
    before as u8
}
