//! The block annotated, below `#[async_trait]`.
use crate::support::{block_on, pause, send};
use profiled::profiled;

#[async_trait::async_trait]
trait Service {
    async fn call(&self, request: &str) -> Result<u32, String>;
}

#[async_trait::async_trait]
#[profiled]
impl Service for u32 {
    async fn call(&self, request: &str) -> Result<u32, String> {
        pause().await;
        Err(request.to_uppercase())
    }
}

pub(crate) fn run() {
    is!(block_on(send(3.call("a"))), Err("A".to_owned()));
}
