//! `?` with locals alive.
use crate::support::{Note, block_on, order, pause};
use profiled::profiled;

#[profiled]
async fn shape(_: Note, n: Result<u32, u32>) -> Result<u32, u32> {
    let _local = Note("local");
    pause().await;
    let n = n?;
    let _later = Note("later");
    Ok(n)
}

pub(crate) fn run() {
    is!(order(|| is!(block_on(shape(Note("a"), Ok(1))), Ok(1))), "later local a");
    is!(order(|| is!(block_on(shape(Note("a"), Err(1))), Err(1))), "local a");
}
