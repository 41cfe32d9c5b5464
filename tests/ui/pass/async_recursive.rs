//! It waits for itself, in a box.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
async fn shape(n: u32) -> u32 {
    if n == 0 {
        return 0;
    }
    Box::pin(shape(n - 1)).await + 1
}

pub(crate) fn run() {
    is!(block_on(shape(3)), 3);
}
