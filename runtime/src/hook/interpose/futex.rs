//! What happens at a futex: somebody waits, somebody wakes.
use std::ffi::{c_int, c_long};

use super::symbols::Call;
use super::{chain, wait};
use crate::hook::lock::traced::release;
use crate::stack;
use crate::sys::interpose as sys;
use crate::trace::event::Class;
use crate::trace::record::{self, For};

/// Where `syscall` jumps with a futex call. The arguments are as the caller passed them, the last one on the stack.
#[inline(never)]
pub(super) extern "C" fn futex(
    _number: c_long,
    word: usize,
    operation: usize,
    value: usize,
    timeout: usize,
    other: usize,
    last: usize,
) -> c_long {
    let call = Call { word, operation, value, timeout, other, last };
    let result = match operation as c_int & COMMAND {
        sys::FUTEX_WAIT | sys::FUTEX_WAIT_BITSET => waits(call),
        sys::FUTEX_WAKE | sys::FUTEX_WAKE_BITSET | sys::FUTEX_REQUEUE | sys::FUTEX_CMP_REQUEUE => wakes(call),
        _ => call.pass_on(),
    };
    // `waits` and `wakes` leave out this frame.
    stack::stay();
    result
}

/// Without the flags: private, and which clock.
const COMMAND: c_int = 0x7f;

/// The word of the wake that tells whether calls come here at all.
pub(super) static PROBE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

#[inline(never)]
fn waits(call: Call) -> c_long {
    let errno = sys::errno();
    let begun = wait::begin(Some(call.word), OUR_FRAMES);
    sys::set_errno(errno);
    let result = call.pass_on();
    if let Some(begun) = begun {
        let errno = sys::errno();
        let waited = result == 0 || errno != sys::CHANGED;
        begun.end(waited);
        sys::set_errno(errno);
    }
    stack::stay();
    result
}

/// `futex` and `waits`, or `wakes`.
const OUR_FRAMES: usize = 2;

#[inline(never)]
fn wakes(call: Call) -> c_long {
    let errno = sys::errno();
    // The clock is read and the account changed before anybody wakes; what takes longer comes after.
    let due = if super::is_active() { chain::charge(call.word, OUR_FRAMES) } else { None };
    if due.is_some() && record::is_on() {
        release(For { object: call.word, ..For::class(Class::Futex) });
    }
    sys::set_errno(errno);
    let result = call.pass_on();
    if let Some(due) = due {
        let errno = sys::errno();
        chain::book(&due, OUR_FRAMES);
        sys::set_errno(errno);
    } else if call.word == std::ptr::from_ref(&PROBE).addr() {
        super::is_bound();
    }
    stack::stay();
    result
}
