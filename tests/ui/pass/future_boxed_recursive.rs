//! It waits for itself.
use crate::support::block_on;
use profiled::profiled;
use std::future::Future;
use std::pin::Pin;

#[profiled]
fn shape(n: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    Box::pin(async move { if n == 0 { 0 } else { shape(n - 1).await + 1 } })
}

pub(crate) fn run() {
    is!(block_on(shape(3)), 3);
}
