//! A `self` that is never used, with its drop in its place.
use crate::support::{Note, block_on, order, pause};
use profiled::profiled;

struct Cart(#[allow(dead_code)] Note);
impl Cart {
    #[profiled]
    async fn shape(self, _other: Note) {
        pause().await;
    }
}

pub(crate) fn run() {
    is!(order(|| block_on(Cart(Note("cart")).shape(Note("other")))), "other cart");
}
