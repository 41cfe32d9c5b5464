//! `async fn .. -> !`, with a semicolon behind the panic.
use crate::support::{block_on, panics, pause};
use profiled::profiled;

#[profiled]
async fn shape() -> ! {
    pause().await;
    std::panic::panic_any("on purpose");
}

pub(crate) fn run() {
    is!(panics(|| block_on(shape())), "on purpose");
}
