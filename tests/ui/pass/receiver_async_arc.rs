//! `self: Arc<Self>` across an `await`.
use crate::support::{block_on, pause};
use profiled::profiled;

struct Cart(u32);
impl Cart {
    #[profiled]
    async fn shape(self: std::sync::Arc<Self>) -> u32 {
        pause().await;
        self.0
    }
}

pub(crate) fn run() {
    is!(block_on(std::sync::Arc::new(Cart(1)).shape()), 1);
}
