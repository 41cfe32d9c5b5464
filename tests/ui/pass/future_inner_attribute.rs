//! An inner attribute before the block.
use crate::support::block_on;
use profiled::profiled;
use std::future::Future;

#[profiled]
fn shape() -> impl Future<Output = u32> {
    #![allow(unused_variables)]
    let unused = 1;
    async move { 4 }
}

pub(crate) fn run() {
    is!(block_on(shape()), 4);
}
