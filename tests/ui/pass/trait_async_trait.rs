//! `#[async_trait]`, with coercions and an early return.
use crate::support::{block_on, pause, send};
use profiled::profiled;

#[async_trait::async_trait]
trait Service {
    async fn call(&self, request: &str) -> Result<Option<Box<dyn std::fmt::Display + Send>>, String>;
}

#[async_trait::async_trait]
impl Service for u32 {
    #[profiled]
    async fn call(&self, request: &str) -> Result<Option<Box<dyn std::fmt::Display + Send>>, String> {
        if request.is_empty() {
            return Ok(None);
        }
        pause().await;
        Ok(Some(Box::new(*self)))
    }
}

pub(crate) fn run() {
    is!(block_on(3.call("")).unwrap().is_none(), true);
    is!(block_on(send(3.call("a"))).unwrap().unwrap().to_string(), "3");
}
