//! A function that runs a future is none.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
fn shape() -> u32 {
    block_on(async { 3 })
}

pub(crate) fn run() {
    is!(shape(), 3);
}
