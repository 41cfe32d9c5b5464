//! An argument that is gone before the `await`.
use crate::support::{block_on, pause};
use profiled::profiled;

#[profiled]
async fn shape(a: String) -> usize {
    let length = a.len();
    drop(a);
    pause().await;
    length
}

pub(crate) fn run() {
    is!(block_on(shape("abc".into())), 3);
}
