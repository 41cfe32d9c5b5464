//! An argument that changes.
use crate::support::{block_on, pause, send};
use profiled::profiled;

#[profiled]
async fn shape(mut a: Vec<u32>) -> Vec<u32> {
    a.push(1);
    pause().await;
    a.push(2);
    a
}

pub(crate) fn run() {
    is!(block_on(send(shape(vec![]))), [1, 2]);
}
