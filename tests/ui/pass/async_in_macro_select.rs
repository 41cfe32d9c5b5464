//! Waiting inside of a macro.
use crate::support::{block_on, pause};
use profiled::profiled;

macro_rules! twice {
    ($e:expr) => {
        $e + $e
    };
}

#[profiled]
async fn shape(n: u32) -> u32 {
    twice!({
        pause().await;
        n
    })
}

pub(crate) fn run() {
    is!(block_on(shape(2)), 4);
}
