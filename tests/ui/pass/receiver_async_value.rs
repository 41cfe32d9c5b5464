//! `mut self` across an `await`.
use crate::support::{Note, block_on, order, pause};
use profiled::profiled;

struct Cart(u32, #[expect(dead_code)] Note);
impl Cart {
    #[profiled]
    async fn shape(mut self) -> u32 {
        self.0 += 1;
        pause().await;
        self.0
    }
}

pub(crate) fn run() {
    is!(order(|| is!(block_on(Cart(1, Note("cart")).shape()), 2)), "cart");
}
