//! `Send`, for what is not is gone before it waits.
use crate::support::{block_on, pause, send};
use profiled::profiled;

#[profiled]
async fn shape() -> u32 {
    let n = {
        let n = std::rc::Rc::new(3);
        *n
    };
    pause().await;
    n
}

pub(crate) fn run() {
    is!(block_on(send(shape())), 3);
}
