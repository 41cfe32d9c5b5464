//! Arguments against the order of their use.
use crate::support::{Note, block_on, order, pause};
use profiled::profiled;

#[profiled]
async fn shape(a: Note, b: Note) -> usize {
    pause().await;
    b.0.len() + a.0.len()
}

pub(crate) fn run() {
    is!(order(|| is!(block_on(shape(Note("a"), Note("b"))), 2)), "b a");
}
