//! An asynchronous closure and a block inside.
use crate::support::{block_on, pause};
use profiled::profiled;

#[profiled]
async fn shape(a: u32) -> u32 {
    let f = async |b: u32| {
        pause().await;
        a + b
    };
    let g = async { f(1).await + 1 };
    g.await
}

pub(crate) fn run() {
    is!(block_on(shape(1)), 3);
}
