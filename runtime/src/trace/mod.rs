//! The execution trace: what happened when, on which thread and in which future.
//!
//! ```text
//!   hooks -> record: buffers of the threads -> hub: one stream in the order of time -> an encoder a session -> its writer
//! ```
pub(crate) mod event;
