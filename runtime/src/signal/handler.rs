#![expect(unsafe_code, reason = "reads the context that the kernel interrupted")]
//! The fence: what runs inside `SIGPROF`.
//!
//! No allocation, no lock, no panic, no formatting; `core` and what the `use` lines name are all there is. It never
//! touches the store. It runs on any thread of the process, on its alternate stack where it has one, and may have
//! interrupted anything: the allocator, our own hooks, another handler.
#![no_implicit_prelude]
#![deny(clippy::std_instead_of_core, clippy::alloc_instead_of_core)]
use ::core::ffi::{c_int, c_void};
use ::core::option::Option::{None, Some};
use ::core::ptr;
use ::core::sync::atomic::{AtomicBool, Ordering};

use super::ring::Ring;
use crate::{label, local, stack, sys};

/// Where samples go.
pub(super) static RING: Ring = Ring::new();

/// Whether a session is open. The handler stays installed when none is.
pub(super) static ENABLED: AtomicBool = AtomicBool::new(false);

/// What tells our timers' signals from everybody else's, a second copy of this crate included: its own address.
static TAG: u8 = 0;

/// The value our timers carry.
pub(super) fn tag() -> *const c_void {
    (&raw const TAG).cast()
}

/// What the kernel calls.
pub(super) extern "C" fn on_signal(signal: c_int, info: *mut ::libc::siginfo_t, context: *mut c_void) {
    match sys::timer::expirations(info, tag()) {
        None => sys::timer::chain(signal, info, context),
        Some(weight) => {
            if ENABLED.load(Ordering::Relaxed) {
                sys::timer::keeping_errno(|| sample(weight, context));
            }
        }
    }
}

#[inline(always)]
fn sample(weight: u64, context: *mut c_void) {
    RING.push(weight, |record| {
        record.weight = weight;
        record.scope = local::with(|local| match local.scopes().innermost() {
            Some(site) => ptr::from_ref(site),
            None => ptr::null(),
        });
        let labels = label::encoded();
        record.label_bytes = 0;
        if let Some(room) = record.labels.get_mut(..labels.len()) {
            room.copy_from_slice(labels);
            record.label_bytes = labels.len();
        }
        // SAFETY: the kernel passed the context to the handler that is running.
        unsafe { stack::capture_context(&mut record.frames, context) };
    });
}
