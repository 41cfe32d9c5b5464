//! Since 2024: a `!` falls back to itself.
use crate::support::{block_on, panics, pause};
use profiled::profiled;

#[profiled]
async fn shape(n: Option<u32>) -> u32 {
    let n = match n {
        Some(n) => n,
        None => panic!("none"),
    };
    pause().await;
    n
}

pub(crate) fn run() {
    is!((block_on(shape(Some(1))), panics(|| block_on(shape(None)))), (1, "none".to_owned()));
}
