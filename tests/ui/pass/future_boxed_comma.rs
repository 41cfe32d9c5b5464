//! A comma behind the block.
use crate::support::block_on;
use profiled::profiled;
use std::future::Future;
use std::pin::Pin;

#[rustfmt::skip]
#[profiled]
fn shape(a: u32) -> Pin<Box<dyn Future<Output = u32>>> {
    Box::pin(async move { a },)
}

pub(crate) fn run() {
    is!(block_on(shape(1)), 1);
}
