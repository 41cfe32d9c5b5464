//! `-> impl Future + Send` in both.
use crate::support::{block_on, pause, send};
use profiled::profiled;
use std::future::Future;

trait Waits {
    fn wait(&self) -> impl Future<Output = u32> + Send;
}

impl Waits for u8 {
    #[profiled]
    fn wait(&self) -> impl Future<Output = u32> + Send {
        let n = u32::from(*self);
        async move {
            pause().await;
            n
        }
    }
}

pub(crate) fn run() {
    is!(block_on(send(1_u8.wait())), 1);
}
