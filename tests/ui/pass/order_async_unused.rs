//! Arguments that are not used, `_` among them.
use crate::support::{Note, block_on, order, pause};
use profiled::profiled;

#[profiled]
async fn shape(_a: Note, _: Note, _c: Note, _: Note) {
    let _local = Note("local");
    pause().await;
}

pub(crate) fn run() {
    is!(order(|| block_on(shape(Note("a"), Note("b"), Note("c"), Note("d")))), "local d c b a");
}
