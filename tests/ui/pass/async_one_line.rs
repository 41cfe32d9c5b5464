//! The whole function in one line.
use crate::support::block_on;
use profiled::profiled;

#[rustfmt::skip]
#[profiled]
async fn shape(a: u32) -> u32 { a + 1 }

pub(crate) fn run() {
    is!(block_on(shape(1)), 2);
}
