//! `return` of nothing.
use crate::support::{block_on, pause};
use profiled::profiled;

#[profiled]
async fn shape(a: u32) {
    if a == 0 {
        return;
    }
    pause().await;
}

pub(crate) fn run() {
    is!((block_on(shape(0)), block_on(shape(1))), ((), ()));
}
