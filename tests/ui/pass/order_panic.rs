//! Unwinding.
use crate::support::{Note, block_on, order, panics, pause};
use profiled::profiled;

#[profiled]
fn shape(_a: Note, _b: Note) {
    let _local = Note("local");
    panic!("on purpose");
}

#[profiled]
async fn later(_a: Note, _: Note) {
    let _local = Note("local");
    pause().await;
    panic!("on purpose");
}

pub(crate) fn run() {
    is!(order(|| is!(panics(|| shape(Note("a"), Note("b"))), "on purpose")), "local b a");
    is!(order(|| is!(panics(|| block_on(later(Note("a"), Note("b")))), "on purpose")), "local b a");
}
