//! `&self` across an `await`.
use crate::support::{block_on, pause};
use profiled::profiled;

struct Cart(u32);
impl Cart {
    #[profiled]
    async fn shape(&self) -> &u32 {
        pause().await;
        &self.0
    }
}

pub(crate) fn run() {
    is!(*block_on(Cart(1).shape()), 1);
}
