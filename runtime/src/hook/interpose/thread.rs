#![expect(unsafe_code, reason = "writes into the frame of the function that calls")]
//! Threads: who waited for the end of one, and who started them.
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use super::{symbols, wait};
use crate::hook::thread::{self, Creator};
use crate::local::Inside;
use crate::stack::{self, Frames};
use crate::store::arena::Noted;
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

/// `join_begins`, or `creates`: `pthread_join` and `pthread_create` are what the program called.
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

/// A thread that is being started: what it is to do, until it begins.
struct Pending {
    /// Somebody has it.
    taken: AtomicBool,
    start: AtomicPtr<c_void>,
    argument: AtomicPtr<c_void>,
    by: Noted<Creator>,
}

/// As many threads as can be on their way at a time; those beyond are counted, and not noted. In a forked child those stay taken that
/// other threads had taken.
static PENDING: [Pending; 1024] = [const {
    Pending {
        taken: AtomicBool::new(false),
        start: AtomicPtr::new(ptr::null_mut()),
        argument: AtomicPtr::new(ptr::null_mut()),
        by: Noted::new(),
    }
}; 1024];

/// The caller's caller starts a thread, with these two. What it is to be started with instead, if it can be noted.
#[inline(never)]
pub(super) fn creates(start: *mut c_void, argument: *mut c_void) -> Option<*mut c_void> {
    let errno = sys::errno();
    let mut pending = None;
    if let Some(inside) = Inside::enter() {
        let mut frames = Frames::new();
        stack::capture(&mut frames, OUR_FRAMES);
        if let Some(by) = thread::creator(&frames) {
            pending = PENDING.iter().find(|pending| !pending.taken.swap(true, Acquire));
            if let Some(pending) = pending {
                pending.start.store(start, Relaxed);
                pending.argument.store(argument, Relaxed);
                pending.by.set(Some(by));
                thread::starting();
            } else {
                thread::starting_unnoted();
            }
        }
        drop(inside);
    }
    sys::set_errno(errno);
    stack::stay();
    pending.map(|pending| ptr::from_ref(pending).cast_mut().cast())
}

/// The thread could not be had.
pub(super) fn not_created(pending: *mut c_void) {
    // SAFETY: what `creates` gave out, which no thread has.
    unsafe { &*pending.cast_const().cast::<Pending>() }.taken.store(false, Release);
    thread::not_started();
}

/// What a thread is to do: in two registers.
#[repr(C)]
pub(super) struct Begin {
    start: *mut c_void,
    argument: *mut c_void,
}

/// The thread begins, with what `creates` gave out.
pub(super) unsafe extern "C" fn begins(pending: *mut c_void) -> Begin {
    // SAFETY: see above: it is this thread's until it gives it back.
    let pending = unsafe { &*pending.cast_const().cast::<Pending>() };
    let begin = Begin { start: pending.start.load(Relaxed), argument: pending.argument.load(Relaxed) };
    let by = pending.by.get();
    pending.taken.store(false, Release);
    match by {
        Some(by) => _ = thread::started(by),
        None => thread::not_started(),
    }
    begin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_beyond_those_that_can_be_on_their_way_are_told() {
        let taken: Vec<_> = PENDING.iter().filter(|pending| !pending.taken.swap(true, Acquire)).collect();
        assert!(creates(ptr::null_mut(), ptr::null_mut()).is_none());
        taken.iter().for_each(|pending| pending.taken.store(false, Release));
        let mut text = Vec::new();
        crate::profile::lookup("threadcreate").unwrap().write_to(&mut text, 1).unwrap();
        let text = String::from_utf8(text).unwrap();
        // Others' threads may be among them.
        assert!(text.lines().any(|line| line.contains("threads that were not noted: too many")), "{text}");
        let given = creates(ptr::null_mut(), ptr::null_mut()).expect("there is room again");
        not_created(given);
    }
}
