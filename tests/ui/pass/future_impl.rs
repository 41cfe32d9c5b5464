//! `-> impl Future`, an `async move` block.
use crate::support::{block_on, pause, send};
use profiled::profiled;
use std::future::Future;

#[profiled]
fn shape(a: u32) -> impl Future<Output = u32> + Send {
    async move {
        pause().await;
        a + 1
    }
}

pub(crate) fn run() {
    is!(block_on(send(shape(1))), 2);
}
