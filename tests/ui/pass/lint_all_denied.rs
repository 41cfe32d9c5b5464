//! With `unsafe` forbidden and every lint a user may deny.
#![forbid(unsafe_code, unsafe_op_in_unsafe_fn)]
#![deny(missing_docs, unused, nonstandard_style, missing_debug_implementations)]
#![deny(single_use_lifetimes, trivial_casts, unreachable_pub, unused_qualifications, unused_results)]
#![deny(let_underscore_drop, elided_lifetimes_in_paths, unused_lifetimes, variant_size_differences)]
#![deny(clippy::all, clippy::pedantic, clippy::nursery)]
#![allow(clippy::redundant_pub_crate, clippy::missing_panics_doc, clippy::missing_const_for_fn)] // the user's own
use crate::support::{block_on, pause};
use profiled::profiled;
use std::future::Future;

/// Sync.
#[profiled]
#[must_use]
pub(crate) fn sync(a: u32) -> u32 {
    a + 1
}

/// Async.
#[profiled]
pub(crate) async fn asynchronous(a: &str, _guard: String) -> usize {
    pause().await;
    a.len()
}

/// A future.
#[profiled]
pub(crate) fn future(a: u32) -> impl Future<Output = u32> + Send {
    async move { a }
}

/// Labels.
#[profiled(labels(a = a))]
#[must_use]
pub(crate) fn labelled(a: u32) -> u32 {
    a
}

#[derive(Debug)]
pub(crate) struct Cart(u32);
#[profiled(name = "forbidden")]
impl Cart {
    /// A method.
    pub(crate) fn method(&mut self) -> u32 {
        self.0 += 1;
        self.0
    }
}

pub(crate) fn run() {
    is!((sync(1), Cart(1).method(), labelled(1)), (2, 2, 1));
    is!((block_on(asynchronous("ab", String::new())), block_on(future(1))), (2, 1));
}
