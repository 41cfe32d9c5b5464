//! Our own walk: a flat table made of the unwind information that every compiler leaves, and one walker for signal
//! handlers and ordinary code.
//!
//! ```text
//!   .eh_frame --build--> row --table--> state --publish--> walk --> Frames
//!     ordinary code, when the loader's list changed    |   anyone, at any moment
//! ```
mod build;
mod known;
pub mod observe;
mod publish;
mod row;
mod state;
mod table;
mod walk;

use std::ffi::c_void;
use std::sync::Arc;

use super::{Frames, MAX_FRAMES};
use crate::local;
use crate::module::ModuleMap;
use crate::sys::stack::{Context, Memory, Registers, bounds, learn_bounds, with_registers};
use state::{STATE, State};
use walk::walk;

/// Libraries that one stack may introduce.
const MAX_NEW: usize = 8;

/// Takes the stack of the caller into `frames`. `skip` 0 begins with the caller's own frame; each further one
/// leaves out one more physical frame.
///
/// Ordinary code at any time, the allocation hook included, before `main` and under the loader's lock: the first
/// call builds the table from the modules of the start. What allocates in here must not come back to the hook.
#[inline(always)]
pub(crate) fn capture(frames: &mut Frames, skip: usize) {
    with_registers(frames, skip, take);
}

extern "C" fn take(frames: &mut Frames, skip: usize, pc: u64, sp: u64, bp: u64) {
    if STATE.is_empty() {
        state::begin(sp);
    }
    let mut bounds = learn_bounds(sp);
    if frames.below != 0 {
        // What is above is not to be read: the walk ends there as it does at a stack's end.
        bounds = bounds.map(|(low, high)| (low, high.min(frames.below.next_multiple_of(8))));
    }
    // A library that was loaded a moment ago, or took another's place, is taken in on the way. There may be several.
    for _ in 0..MAX_NEW {
        let doubt = STATE.read(|state| {
            let table = state.map(|state| &state.table);
            let sure = walk(table, Registers { pc, sp, bp }, None, Memory::new(sp, bounds), skip, frames);
            state.filter(|_| !sure)?.doubt(frames.addresses())
        });
        if !doubt.is_some_and(|address| state::meet(address, sp)) {
            return;
        }
    }
}

/// Takes the stack that a signal interrupted, beginning at the interrupted instruction. For signal handlers: it
/// neither allocates nor locks nor calls, and wants a [`prepare`] before.
///
/// # Safety
/// `ucontext` is the third argument of a signal handler that has not returned, on this thread.
#[expect(unsafe_code, reason = "only a signal handler has a context")]
pub(crate) unsafe fn capture_context(frames: &mut Frames, ucontext: *const c_void) {
    // SAFETY: as the caller promises.
    let context = unsafe { Context::new(ucontext) };
    let registers = context.registers();
    let memory = Memory::new(registers.sp, bounds(registers.sp));
    STATE.read(|state| {
        walk(state.map(|state| &state.table), registers, Some(&context), memory, 0, frames);
    });
}

/// The same down to the frame that holds the address `below` on the stack, which is the last. Not what the other one calls:
/// unoptimised, each frame more is one that an alternate stack has to have room for.
///
/// # Safety
/// As for [`capture_context`].
#[expect(unsafe_code, reason = "only a signal handler has a context")]
pub(crate) unsafe fn capture_context_below(frames: &mut Frames, ucontext: *const c_void, below: u64) {
    // SAFETY: as the caller promises.
    let context = unsafe { Context::new(ucontext) };
    let registers = context.registers();
    // All of it is stack, whether the thread's bounds are known or not.
    let memory = Memory::new(registers.sp, Some((registers.sp, below.next_multiple_of(8))));
    STATE.read(|state| {
        walk(state.map(|state| &state.table), registers, Some(&context), memory, 0, frames);
    });
}

/// Whether a signal interrupted a system call, or what comes right after one.
///
/// # Safety
/// As for [`capture_context`].
#[expect(unsafe_code, reason = "only a signal handler has a context")]
pub(crate) unsafe fn is_in_system_call(ucontext: *const c_void) -> bool {
    // SAFETY: as the caller promises.
    unsafe { Context::new(ucontext) }.is_in_system_call()
}

/// Makes sure that walks know all code that is loaded now. Ordinary code only: it may take the loader's lock.
pub(crate) fn prepare() {
    // The tables are ours, not the program's memory.
    local::with(|local| local.aside(state::refresh));
}

/// The modules now, with those that are gone. Ordinary code only: it may take the loader's lock.
pub(crate) fn modules() -> Arc<ModuleMap> {
    prepare();
    STATE.read(|state| state.map(|state| state.map.clone())).unwrap_or_default()
}

/// Calls `f` with the modules as they were known last. It allocates nothing and takes no lock, if `f` does not.
pub(crate) fn with_modules<R>(f: impl FnOnce(&ModuleMap) -> R) -> R {
    const NONE: &ModuleMap = &ModuleMap { modules: Vec::new(), elsewhere: false };
    STATE.read(|state| f(state.map_or(NONE, |state| &state.map)))
}

/// Bytes of tables.
pub(crate) fn memory() -> usize {
    STATE.read(|state| state.map_or(0, State::memory))
}

/// To be called in a forked child before anything else of ours: the other threads are gone, whatever they held.
/// Libraries that the child opens are then found by ordinary code that meets them, and no longer by [`prepare`].
pub(crate) fn after_fork_in_child() {
    state::after_fork_in_child();
}
