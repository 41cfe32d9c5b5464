//! A default body under `#[async_trait]`.
use crate::support::{block_on, pause};
use profiled::profiled;

#[async_trait::async_trait]
trait Service {
    #[profiled]
    async fn call(&mut self, n: u32) -> u32
    where
        Self: Send,
    {
        pause().await;
        n
    }
}

impl Service for u32 {}

pub(crate) fn run() {
    is!(block_on(3.call(5)), 5);
}
