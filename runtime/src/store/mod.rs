//! Where samples rest: addresses, labels and counts, no names.
pub(crate) mod arena;
pub(crate) mod bucket;
pub(crate) mod histogram;
mod intern;
mod label_table;
pub(crate) mod live;
pub(crate) mod slab;
mod stack_table;

pub(crate) use label_table::{Labels, pairs};
pub(crate) use stack_table::{Stack, StackCell};
