//! The machine: the only home of `target_os`, `target_arch` and `libc`.
pub(crate) mod call;
pub(crate) mod clock;
pub(crate) mod file;
pub(crate) mod memory;
pub(crate) mod modules;
pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod stack;
pub(crate) mod thread;
pub(crate) mod timer;
