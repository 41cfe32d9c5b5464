//! The fence of the other handler: what runs inside `SIGURG` on a thread that is to show where it is.
//!
//! The same rules as for the one of `SIGPROF`: no allocation, no lock, no panic, no formatting, nothing of the store.
#![no_implicit_prelude]
#![deny(clippy::std_instead_of_core, clippy::alloc_instead_of_core)]
#![expect(unsafe_code, reason = "reads the context that the kernel interrupted")]
use ::core::ffi::{c_int, c_void};
use ::core::option::Option::{None, Some};

use super::super::handler::fill;
use super::slots;
use crate::sys::signal::{DUMPING, brought, keeping_errno};
use crate::{sys, trap};

/// What our signals' values point into: where, is the number of the slot. Its address tells them from everybody else's,
/// a second copy of this crate included.
static MARK: [u8; slots::SLOTS] = [0; slots::SLOTS];

/// The value of a signal that asks for an answer in this slot.
pub(super) fn value(slot: usize) -> *const c_void {
    (&raw const MARK).cast::<u8>().wrapping_add(slot).cast()
}

/// What the kernel calls.
pub(super) extern "C" fn on_signal(signal: c_int, info: *mut ::libc::siginfo_t, context: *mut c_void) {
    match brought(info, value(0), slots::SLOTS) {
        None => DUMPING.chain(signal, info, context),
        Some(brought) => keeping_errno(|| trap::handler(|| answer(brought.word, brought.note, context))),
    }
}

#[inline(always)]
fn answer(slot: usize, dump: u32, context: *mut c_void) {
    let Some(slot) = slots::at(slot) else { return };
    slot.answer(dump, |record| {
        record.tid = sys::call::thread_id();
        // SAFETY: the kernel passed the context to the handler that is running.
        unsafe { fill(record, context) };
    });
}
