//! What the block took is dropped with it.
use crate::support::{Note, block_on, order, pause};
use profiled::profiled;
use std::future::Future;

#[profiled]
fn shape(a: Note, _b: Note) -> impl Future<Output = usize> {
    async move {
        pause().await;
        a.0.len()
    }
}

pub(crate) fn run() {
    is!(order(|| is!(block_on(shape(Note("a"), Note("b"))), 1)), "b a");
}
