//! `#[async_trait(?Send)]`.
use crate::support::{block_on, pause};
use profiled::profiled;

#[async_trait::async_trait(?Send)]
trait Service {
    async fn call<T>(&self, request: T) -> T;
}

#[async_trait::async_trait(?Send)]
impl Service for u32 {
    #[profiled]
    async fn call<T>(&self, request: T) -> T {
        let rc = std::rc::Rc::new(1);
        pause().await;
        drop(rc);
        request
    }
}

pub(crate) fn run() {
    is!(block_on(3.call("a")), "a");
}
