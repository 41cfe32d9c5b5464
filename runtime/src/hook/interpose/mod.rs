#![expect(unsafe_code, reason = "hands out what only this room put into its pointers")]
//! Waits of the whole process, in `block` and `mutex`: the feature `interpose`.
//!
//! What is built on Rust's standard library, on `parking_lot` and their like waits through the C function `syscall`, and
//! starts and joins threads through `pthread_create` and `pthread_join`. A program that defines these has them at link
//! time, for all its crates: see `symbols`. No uncontended lock ever calls one.
//!
//! ```text
//!   syscall --futex?--> wait: a row of `block`         wake: charges who held what they waited for, in `mutex`
//!      |                    \------- table -------/--- chain
//!      no: libc's
//! ```
//!
//! All of it may run on any thread at any moment, signal handlers included: it allocates nothing but from the arena, takes
//! no lock, waits for nothing, and leaves `errno` as it finds it. What is ours is marked by `local.inside` and
//! `local.waits_itself`, and passed on without a look. Calls go on to libc with the arguments they came with, and its
//! results go back: timeouts, `EINTR` and the flags of a futex are between those two.
//!
//! What a wait was for is not known here but by the names on its stack, which are read when a profile is: `symbol::wait`.
//!
//! Where libc's functions cannot be replaced, `absent` takes this room's place; a library that is opened at run time has
//! the definitions, and nothing calls them. A call of our own tells at the start whether it comes in.
mod chain;
mod futex;
mod report;
mod symbols;
mod table;
mod thread;
mod wait;

use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::Acquire, Ordering::Relaxed};

use crate::local;
use crate::store::bucket::{Bucket, Buckets};
use crate::sys::interpose as sys;

pub(crate) use report::{charges, comments, count_of_charges, count_of_waits, status, waiting, waits};

/// The innermost frames of those who wait at one kind of word.
type Kind = Bucket<()>;

static BLOCK: Buckets<wait::Waits> = Buckets::new();
static MUTEX: Buckets<chain::Charges> = Buckets::new();
static KINDS: Buckets<()> = Buckets::new();

/// Events are counted in units of 1/1024: a sampled one may stand for 3.7.
const COUNT_SCALE: f64 = 1024.0;

static BOUND: AtomicBool = AtomicBool::new(false);

/// Whether futex calls of this program come here.
pub(crate) fn is_active() -> bool {
    BOUND.load(Relaxed)
}

/// A call of ours came in.
fn is_bound() {
    BOUND.store(true, Relaxed);
}

/// Before `main`; after the constructor that notes modules, so that the first stack has them.
extern "C" fn begin() {
    symbols::find();
    sys::learn_thread_locals();
    if sys::has_pairs() {
        sys::wake_nobody(&futex::PROBE);
    }
}

crate::sys::at_start!(BEGIN, "00099", begin);

/// Runs `f`, which waits; whoever calls this books it.
pub(crate) fn own_wait<R>(f: impl FnOnce() -> R) -> R {
    let _own = OwnWait::begin();
    f()
}

/// Until this is dropped or ended, waits of this thread are booked by whoever has it.
pub(crate) struct OwnWait {
    before: bool,
}

impl OwnWait {
    pub(crate) fn begin() -> OwnWait {
        OwnWait { before: local::with(|local| local.waits_itself.replace(true)) }
    }

    /// It turned out to be no wait.
    pub(crate) fn end(&self) {
        local::with(|local| local.waits_itself.set(self.before));
    }
}

impl Drop for OwnWait {
    fn drop(&mut self) {
        self.end();
    }
}

/// In a forked child nobody waits.
pub(crate) fn after_fork_in_child() {
    table::after_fork_in_child();
    wait::WAITING.after_fork_in_child();
}

/// Whether an event of this probability is taken.
fn happens(probability: f64) -> bool {
    local::with(|local| local.random(|random| random.happens(probability)))
}

/// The record that a pointer of this room's points to.
fn known<V>(place: &AtomicPtr<Bucket<V>>) -> Option<&'static Bucket<V>> {
    // SAFETY: null, or what this room stored there, which was a reference to a record; records live for ever.
    unsafe { place.load(Acquire).as_ref() }
}
