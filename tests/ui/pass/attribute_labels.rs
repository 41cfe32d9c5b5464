//! `labels(..)` of expressions.
use crate::support::{block_on, pause, send};
use profiled::profiled;
use std::future::Future;

#[profiled(labels(user = id, "a route" = format_args!("/{}", id + 1)))]
fn shape(id: u32) -> u32 {
    id
}

#[profiled(name = "both", labels(user = name.len()))]
async fn later(name: String) -> usize {
    pause().await;
    name.len()
}

#[profiled(labels(user = id))]
fn future(id: u32) -> impl Future<Output = u32> {
    async move { id }
}

pub(crate) fn run() {
    is!((shape(1), block_on(send(later("ab".into()))), block_on(future(3))), (1, 2, 3));
}
