//! Temporaries of the tail: before or after the locals, by the edition.
use crate::support::{Note, block_on, order, pause};
use profiled::profiled;

#[profiled]
fn shape() -> usize {
    let _local = Note("local");
    (Note("temporary"), 1).1
}

#[profiled]
async fn later() -> usize {
    let _local = Note("local");
    pause().await;
    (Note("temporary"), 1).1
}

pub(crate) fn run() {
    let expected = if crate::EDITION == 2021 { "local temporary" } else { "temporary local" };
    is!(order(|| is!(shape(), 1)), expected);
    is!(order(|| is!(block_on(later()), 1)), expected);
}
