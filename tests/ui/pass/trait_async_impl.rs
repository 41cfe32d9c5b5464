//! `async fn` for a method that is declared as `-> impl Future + Send`.
use crate::support::{block_on, pause, send};
use profiled::profiled;
use std::future::Future;

trait Waits {
    fn wait(&self) -> impl Future<Output = u32> + Send;
}

impl Waits for u8 {
    #[profiled]
    async fn wait(&self) -> u32 {
        pause().await;
        u32::from(*self)
    }
}

pub(crate) fn run() {
    is!(block_on(send(1_u8.wait())), 1);
}
