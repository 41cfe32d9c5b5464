//! Inner attributes of an `async fn`.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
async fn shape() -> u32 {
    #![allow(unused_variables)]
    let unused = 1;
    2
}

pub(crate) fn run() {
    is!(block_on(shape()), 2);
}
