#![expect(unsafe_code, reason = "calls the platform's unwinder")]
//! The standard unwinder: the one that unwinds a panic.
//!
//! The `backtrace` crate knows what it is called on each platform. It allocates nothing of Rust's to walk a stack. On
//! its first use, and on some platforms at every one, it asks the loader which modules there are, under the loader's
//! lock; that lock is recursive where constructors run under it.

/// Calls `each` with the return address and the stack pointer of one frame after the other, beginning with the caller's
/// own, until it says `false`. The stack pointer is 0 where the platform does not tell. Says whether it came to the end
/// of what the unwinder finds.
#[inline(never)]
pub(crate) fn walk(mut each: impl FnMut(u64, u64) -> bool) -> bool {
    // Frames below this one are the unwinder's and ours. They have lower addresses on every platform that Rust is on.
    let marker = 0_u8;
    let here = (&raw const marker).addr();
    let mut complete = true;
    // SAFETY: what is not synchronized is the debugger library of 32-bit Windows, which walks no stack elsewhere: there
    // a program that prints a backtrace at the same time may get a poor one.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            let (pc, sp) = (frame.ip().addr(), frame.sp().addr());
            if sp != 0 && sp <= here {
                return true;
            }
            if pc == 0 {
                return false;
            }
            complete = each(pc as u64, sp as u64);
            complete
        });
    }
    std::hint::black_box(&marker);
    complete
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn first() -> u64 {
        let mut first = 0;
        let complete = walk(|pc, _| {
            first = pc;
            false
        });
        assert!(!complete);
        std::hint::black_box(first)
    }

    #[test]
    fn a_walk_begins_with_its_caller() {
        let start = first as fn() -> u64 as usize as u64;
        let pc = first();
        assert!((start..start + 4096).contains(&pc), "{pc:#x} in the function at {start:#x}");
        let mut frames = 0;
        assert!(walk(|_, _| {
            frames += 1;
            true
        }));
        assert!((3..100).contains(&frames), "{frames}");
    }
}
