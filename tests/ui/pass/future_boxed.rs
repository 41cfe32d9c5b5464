//! `Box::pin(async move ..)`.
use crate::support::block_on;
use profiled::profiled;
use std::future::Future;
use std::pin::Pin;

#[profiled]
fn shape(a: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    Box::pin(async move { a + 1 })
}

pub(crate) fn run() {
    is!(block_on(shape(1)), 2);
}
