//! Nothing at all.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
async fn shape() {}

pub(crate) fn run() {
    block_on(shape());
    is!(1, 1);
}
