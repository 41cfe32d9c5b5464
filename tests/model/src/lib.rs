//! The lock-free parts of the runtime, run in every order of their steps, and with every value that a load may find
//! under the memory model of the language. The sources are those of the runtime: `build.rs` copies them with other
//! atomics (`atomic`) and tiny sizes, as they are and with faults that have to be found. What they stand on is
//! replaced by `stand_ins`.
//!
//! `stack/flat/publish.rs` is not among them: it needs the one order that sequentially consistent loads and stores have,
//! which the model does not know.
pub(crate) mod atomic;
pub(crate) mod stand_ins;

pub(crate) use stand_ins::sys;

include!(concat!(env!("OUT_DIR"), "/modules.rs"));
