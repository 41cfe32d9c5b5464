//! Windows into this room for tests outside the crate. Not part of the API.
#![allow(missing_docs, reason = "hidden, and named for what each calls")]
use crate::stack::Frames;

/// The stack of the caller, and whether it is cut.
#[inline(never)]
pub fn capture_addresses(skip: usize) -> (Vec<u64>, bool) {
    let mut frames = Frames::new();
    super::capture(&mut frames, skip.saturating_add(1));
    (frames.addresses().to_vec(), frames.truncated)
}

pub fn prepare() {
    super::prepare();
}
