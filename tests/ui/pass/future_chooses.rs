//! One of two boxes.
use crate::support::block_on;
use profiled::profiled;
use std::future::Future;
use std::pin::Pin;

#[profiled]
fn shape(flag: bool) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    if flag {
        return Box::pin(async { 1 });
    }
    Box::pin(async { 2 })
}

pub(crate) fn run() {
    is!(block_on(shape(true)) + block_on(shape(false)), 3);
}
