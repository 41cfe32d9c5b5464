//! Where the program's events arrive. Each file fills its own profiles and submits them.
//!
//! A hook may be called on any thread at any moment of the program's life. It holds no lock of ours while code of
//! the program runs, and what it cannot do at that moment it counts as lost.
pub(crate) mod alloc;
pub(crate) mod custom;
pub(crate) mod function;
#[cfg(profiled_interpose)]
pub(crate) mod interpose;
#[cfg(not(profiled_interpose))]
#[path = "interpose/absent.rs"]
pub(crate) mod interpose;
pub(crate) mod lock;
pub(crate) mod task;
pub(crate) mod thread;
pub(crate) mod watch;
