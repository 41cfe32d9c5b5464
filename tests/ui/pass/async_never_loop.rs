//! `async fn .. -> !`, by a loop.
use crate::support::{block_on, panics, pause};
use profiled::profiled;

#[profiled]
async fn shape() -> ! {
    let mut n = 0;
    loop {
        pause().await;
        n += 1;
        assert!(n < 3, "enough");
    }
}

pub(crate) fn run() {
    is!(panics(|| block_on(shape())), "enough");
}
