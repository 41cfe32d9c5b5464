//! `async fn` in a trait, with a body.
use crate::support::{block_on, pause};
use profiled::profiled;

trait Store {
    fn required(&self) -> u32;
    #[allow(async_fn_in_trait)]
    #[profiled]
    async fn shape(&self) -> u32 {
        pause().await;
        self.required()
    }
}

impl Store for u8 {
    fn required(&self) -> u32 {
        1
    }
}

pub(crate) fn run() {
    is!(block_on(1_u8.shape()), 1);
}
