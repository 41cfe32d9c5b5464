#![expect(unsafe_code, reason = "writes into the frame of the function that calls")]
//! Threads: who waited for the end of one, and who started them.
use std::sync::atomic::Ordering::Relaxed;

use super::{CREATED, symbols, wait};
use crate::local::Inside;
use crate::stack::{self, Frames};
use crate::sys::interpose as sys;

/// Where `pthread_join` keeps a wait: see `wait::Begun::pack`. Zeros are none.
type Kept = [u64; 3];

/// Before libc's `pthread_join`, whose address it gives.
#[inline(never)]
pub(super) unsafe extern "C" fn join_begins(kept: *mut Kept) -> usize {
    let errno = sys::errno();
    let begun = wait::begin(None, OUR_FRAMES);
    // SAFETY: `pthread_join` has room for three words there.
    unsafe { kept.write(begun.map_or([0; 3], wait::Begun::pack)) };
    sys::set_errno(errno);
    symbols::join()
}

/// `join_begins`, or `created`: `pthread_join` and `pthread_create` are what the program called.
const OUR_FRAMES: usize = 1;

/// After it.
pub(super) unsafe extern "C" fn join_ends(kept: *mut Kept) {
    let errno = sys::errno();
    // SAFETY: what `join_begins` wrote there.
    if let Some(begun) = wait::Begun::unpack(unsafe { kept.read() }) {
        begun.end(true);
    }
    sys::set_errno(errno);
}

/// The caller's caller started a thread.
#[inline(never)]
pub(super) fn created() {
    let errno = sys::errno();
    if let Some(inside) = Inside::enter() {
        let mut frames = Frames::new();
        stack::capture(&mut frames, OUR_FRAMES);
        if let Some(bucket) = CREATED.get(wait::key(&frames)) {
            bucket.value().first.fetch_add(1, Relaxed);
        }
        drop(inside);
    }
    sys::set_errno(errno);
    stack::stay();
}
