//! The machine: the only home of `target_os`, `target_arch`, `libc` and the standard unwinder.
//!
//! Two backends have the same names in the same files, as far as both have something to say: `linux` for what it was
//! written for and is tested on, and `portable`, in which there is nothing but `std` and the `backtrace` crate. The
//! build script chooses. What only one of them has, only a room asks for that exists with that one alone.
#[cfg(not(profiled_portable))]
mod linux;
pub(crate) mod new_file;
#[cfg(not(profiled_portable))]
pub(crate) use linux::*;

#[cfg(profiled_portable)]
mod portable;
#[cfg(profiled_portable)]
pub(crate) use portable::*;
