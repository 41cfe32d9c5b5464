//! The machine: the only home of `target_os`, `target_arch` and `libc`.
pub(crate) mod file;
pub(crate) mod memory;
