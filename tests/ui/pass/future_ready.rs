//! A future that is no block.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
fn shape(a: u32) -> std::future::Ready<u32> {
    std::future::ready(a)
}

pub(crate) fn run() {
    is!(block_on(shape(1)), 1);
}
