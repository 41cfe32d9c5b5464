//! `async` without `move`.
use crate::support::block_on;
use profiled::profiled;
use std::future::Future;

#[profiled]
fn shape() -> impl Future<Output = u32> {
    async { 1 }
}

pub(crate) fn run() {
    is!(block_on(shape()), 1);
}
