//! Windows into this room for tests outside the crate. Not part of the API.
#![allow(missing_docs, reason = "hidden, and named for what each calls")]
use std::ffi::c_void;

use super::{Frames, STATE, State};

/// The stack of the caller, and whether it is cut.
#[inline(never)]
pub fn capture_addresses(skip: usize) -> (Vec<u64>, bool) {
    let mut frames = Frames::new();
    super::capture(&mut frames, skip.saturating_add(1));
    (frames.addresses().to_vec(), frames.truncated)
}

/// The interrupted stack, as many addresses as `into` holds, their number, and whether it is cut.
///
/// # Safety
/// As for a signal handler's own use: `ucontext` is its third argument.
#[expect(unsafe_code, reason = "passes the promise on")]
pub unsafe fn capture_context(ucontext: *const c_void, into: &mut [u64]) -> (usize, bool) {
    let mut frames = Frames::new();
    // SAFETY: as the caller promises.
    unsafe { super::capture_context(&mut frames, ucontext) };
    let mut len = 0_usize;
    for (slot, &address) in into.iter_mut().zip(frames.addresses()) {
        *slot = address;
        len = len.wrapping_add(1);
    }
    (len, frames.truncated)
}

pub fn prepare() {
    super::prepare();
}

pub fn after_fork_in_child() {
    super::after_fork_in_child();
}

/// Rows and bytes of the table.
pub fn size() -> (usize, usize) {
    (STATE.read(|state| state.map_or(0, State::rows)), super::memory())
}

/// The epoch that stacks are taken in now.
pub fn epoch() -> u32 {
    STATE.read(|state| state.map_or(0, |state| state.table.epoch))
}

/// The path and the build id of the module that held `address` in `epoch`.
pub fn module_at(address: u64, epoch: u32) -> Option<(String, Vec<u8>)> {
    let map = super::modules();
    let module = map.find(address, epoch)?;
    Some((module.path.clone(), module.build_id.clone()))
}

/// Where the module that holds `address` now was moved to.
pub fn bias(address: u64) -> Option<u64> {
    Some(super::modules().find(address, epoch())?.bias)
}

/// Takes the stack and nothing else, for measuring.
#[inline(never)]
pub fn capture_len() -> u32 {
    let mut frames = Frames::new();
    super::capture(&mut frames, 0);
    frames.len
}
