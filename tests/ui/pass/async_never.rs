//! `async fn .. -> !`.
use crate::support::{block_on, panics};
use profiled::profiled;

#[profiled]
async fn shape() -> ! {
    panic!("on purpose")
}

pub(crate) fn run() {
    is!(panics(|| block_on(shape())), "on purpose");
}
