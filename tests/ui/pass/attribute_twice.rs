//! Twice on one function.
use crate::support::{block_on, pause};
use profiled::profiled;

#[profiled]
#[profiled]
fn shape() -> u32 {
    5
}

#[profiled]
#[profiled]
async fn later() -> u32 {
    pause().await;
    6
}

pub(crate) fn run() {
    is!((shape(), block_on(later())), (5, 6));
}
