//! Where samples rest: addresses, labels and counts, no names.
pub(crate) mod arena;
mod intern;
mod label_table;
mod stack_table;

pub(crate) use label_table::{Labels, pairs};
pub(crate) use stack_table::Stack;
