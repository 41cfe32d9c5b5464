//! One field of `self` alone is used.
use crate::support::{Note, block_on, order, pause};
use profiled::profiled;

struct Holder(#[allow(dead_code)] Note, Note);
impl Holder {
    #[profiled]
    async fn shape(self, _other: Note) -> usize {
        pause().await;
        self.1.0.len()
    }
}

pub(crate) fn run() {
    is!(order(|| is!(block_on(Holder(Note("h0"), Note("h1")).shape(Note("other"))), 2)), "other h0 h1");
}
