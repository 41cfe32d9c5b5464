//! Go's pprof for Rust, and more.

mod encode;
mod error;
mod hook;
mod label;
mod module;
mod profile;
mod record;
mod site;
mod snapshot;
mod stack;
mod store;
mod sys;

pub use encode::Format;
pub use error::{Error, Result};
pub use hook::custom::{Key, Tracked};
pub use profile::{Kind, Profile, lookup, profiles};
pub use profiled_macros::profiled;
pub use record::{LabelValue, ValueType};
pub use snapshot::{SampleRef, Snapshot};

/// What our macros expand to. Not part of the API.
#[doc(hidden)]
pub mod __private {
    pub use crate::hook::function::{Scope, enter};
    pub use crate::hook::future::Polled;
    pub use crate::profile::Entry;
    pub use crate::site::{FunctionSite, LockSite, Name, Place};
    pub use core::any::type_name;
    pub use inventory::submit;
}
