//! The standard unwinder's walk. Ordinary code only: it may take the loader's lock, and wants a few KiB of stack.
//!
//! Names are found in this process by whoever looks at addresses, so that of modules nothing needs to be known: a
//! library that was unloaded leaves addresses without names, or with those of what was loaded in its place.
pub mod observe;

use std::sync::{Arc, OnceLock};

use super::Frames;
use crate::module::{Module, ModuleMap, Segment};
use crate::sys;

/// Takes the stack of the caller into `frames`. `skip` 0 begins with the caller's own frame; each further one
/// leaves out one more physical frame.
///
/// The allocation hook comes here, too: what allocates in here must not come back to it.
#[inline(always)]
pub(crate) fn capture(frames: &mut Frames, skip: usize) {
    take(frames, skip);
}

#[inline(never)]
fn take(frames: &mut Frames, skip: usize) {
    frames.epoch = 0;
    frames.len = 0;
    // This frame is the first.
    let mut skip = skip.saturating_add(1);
    let below = if frames.below == 0 { u64::MAX } else { frames.below };
    frames.truncated = !sys::stack::walk(|pc, sp| {
        if sp > below {
            return false;
        }
        if skip > 0 {
            skip -= 1;
            return true;
        }
        let Some(slot) = frames.addresses.get_mut(frames.len as usize) else { return false };
        // The call lies before the address to return to.
        *slot = pc.wrapping_sub(1);
        frames.len += 1;
        true
    });
}

/// Nothing has to be known before.
pub(crate) fn prepare() {}

/// One module that holds every address: the program. Readers want a mapping, and have one without a build id.
pub(crate) fn modules() -> Arc<ModuleMap> {
    static MODULES: OnceLock<Arc<ModuleMap>> = OnceLock::new();
    let make = || {
        let path = std::env::current_exe().unwrap_or_default().to_string_lossy().into_owned();
        let text = vec![Segment { start: 0, end: u64::MAX, offset: 0 }];
        let (build_id, bias) = (Vec::new(), 0);
        let module = Module { path, build_id, bias, text, first_epoch: 0, last_epoch: u32::MAX };
        Arc::new(ModuleMap { modules: vec![Arc::new(module)], elsewhere: false })
    };
    MODULES.get_or_init(make).clone()
}

/// Calls `f` with the modules.
pub(crate) fn with_modules<R>(f: impl FnOnce(&ModuleMap) -> R) -> R {
    f(&modules())
}

/// Bytes of tables: none.
pub(crate) fn memory() -> usize {
    0
}

/// Nobody calls it: no fork is noticed here.
pub(crate) fn after_fork_in_child() {}
