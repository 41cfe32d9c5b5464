//! Out of patterns.
use crate::support::{Note, block_on, order, pause};
use profiled::profiled;

#[profiled]
async fn shape((_a, _b): (Note, Note), [_c, _d]: [Note; 2]) {
    pause().await;
}

pub(crate) fn run() {
    is!(order(|| block_on(shape((Note("a"), Note("b")), [Note("c"), Note("d")]))), "d c b a");
}
