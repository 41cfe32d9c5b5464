//! Arguments in the order of their use.
use crate::support::{Note, block_on, order, pause};
use profiled::profiled;

#[profiled]
async fn shape(a: Note, b: Note, c: Note) -> usize {
    let _local = Note("local");
    pause().await;
    a.0.len() + b.0.len() + c.0.len()
}

pub(crate) fn run() {
    is!(order(|| is!(block_on(shape(Note("a"), Note("b"), Note("c"))), 3)), "local c b a");
}
