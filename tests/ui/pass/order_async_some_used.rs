//! Some used, some not.
use crate::support::{Note, block_on, order, pause};
use profiled::profiled;

#[profiled]
async fn shape(_a: Note, b: Note, _c: Note) -> usize {
    pause().await;
    b.0.len()
}

pub(crate) fn run() {
    is!(order(|| is!(block_on(shape(Note("a"), Note("b"), Note("c"))), 1)), "c b a");
}
