//! Arguments that only a format string names.
use crate::support::{block_on, pause};
use profiled::profiled;

#[profiled]
async fn shape(a: u32, b: u32) -> String {
    pause().await;
    format!("{a} {b:>3}")
}

pub(crate) fn run() {
    is!(block_on(shape(1, 2)), "1   2");
}
