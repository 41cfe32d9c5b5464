//! One moved out.
use crate::support::{Note, block_on, order, pause};
use profiled::profiled;

#[profiled]
async fn shape(a: Note, b: Note, c: Note) {
    drop(b);
    pause().await;
    _ = (&a, &c);
}

pub(crate) fn run() {
    is!(order(|| block_on(shape(Note("a"), Note("b"), Note("c")))), "b c a");
}
