//! Names that look like constants.
use crate::support::{Note, block_on, order, pause};
use profiled::profiled;

#[profiled]
#[allow(non_snake_case)]
async fn shape(A: Note, Bc: Note) -> usize {
    pause().await;
    A.0.len() + Bc.0.len()
}

pub(crate) fn run() {
    is!(order(|| is!(block_on(shape(Note("a"), Note("b"))), 2)), "b a");
}
