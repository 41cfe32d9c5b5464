//! An asynchronous closure as a parameter.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
async fn shape<F: AsyncFn(u32) -> u32>(f: F) -> u32 {
    f(1).await + f(2).await
}

pub(crate) fn run() {
    is!(block_on(shape(async |n| n * 10)), 30);
}
