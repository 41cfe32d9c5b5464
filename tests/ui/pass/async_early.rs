//! `return` before an `await`.
use crate::support::{block_on, pause, send};
use profiled::profiled;

#[profiled]
async fn shape(a: u32) -> u32 {
    if a == 0 {
        return 7;
    }
    pause().await;
    a
}

pub(crate) fn run() {
    is!((block_on(shape(0)), block_on(send(shape(1)))), (7, 1));
}
