//! `&mut self` across an `await`.
use crate::support::{block_on, pause};
use profiled::profiled;

struct Cart(u32);
impl Cart {
    #[profiled]
    async fn shape(&mut self, by: u32) -> &mut Self {
        self.0 += by;
        pause().await;
        self
    }
}

pub(crate) fn run() {
    is!(block_on(Cart(1).shape(2)).0, 3);
}
