//! A function that makes the future to wait for.
use crate::support::block_on;
use profiled::profiled;
use std::future::Future;

#[profiled]
async fn shape<T, F, Fut>(value: T, f: F) -> T
where
    F: FnOnce(T) -> Fut,
    Fut: Future<Output = T>,
{
    f(value).await
}

pub(crate) fn run() {
    is!(block_on(shape(1, async |a| a + 1)), 2);
}
