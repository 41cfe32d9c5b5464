//! `Box::pin` around a call.
use crate::support::block_on;
use profiled::profiled;
use std::future::Future;
use std::pin::Pin;

#[profiled]
fn shape(a: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    async fn inner(a: u32) -> u32 {
        a
    }
    Box::pin(inner(a))
}

pub(crate) fn run() {
    is!(block_on(shape(1)), 1);
}
