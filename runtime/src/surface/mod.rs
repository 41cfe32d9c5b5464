//! Where profiles leave the program: written out, or served over HTTP.
//!
//! Surfaces are thin. [`lookup`](crate::lookup) is their door, a [`Snapshot`](crate::Snapshot) is what they get
//! through it, and what a window needs of a hook (start, finish) is in the profile's descriptor.
#[cfg(feature = "criterion")]
pub mod criterion;
pub(crate) mod environment;
mod file;
pub mod http;
mod write;
