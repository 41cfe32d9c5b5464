//! Generic, asynchronous, in a generic trait.
use crate::support::{block_on, pause};
use profiled::profiled;

trait Source<T> {
    #[allow(async_fn_in_trait)]
    async fn next<U: From<T>>(&mut self) -> Option<U>;
}

impl<T: Copy> Source<T> for Vec<T> {
    #[profiled]
    async fn next<U: From<T>>(&mut self) -> Option<U> {
        pause().await;
        self.pop().map(U::from)
    }
}

pub(crate) fn run() {
    is!(block_on(vec![1_u8].next::<u32>()), Some(1));
}
