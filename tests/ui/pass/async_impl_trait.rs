//! `-> impl Trait`.
use crate::support::{block_on, pause};
use profiled::profiled;

#[profiled]
async fn shape(n: u32) -> impl Iterator<Item = u32> {
    pause().await;
    0..n
}

pub(crate) fn run() {
    is!(block_on(shape(3)).count(), 3);
}
