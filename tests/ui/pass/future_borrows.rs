//! The block borrows an argument.
use crate::support::{block_on, pause, send};
use profiled::profiled;
use std::future::Future;

#[profiled]
fn shape<'a>(a: &'a str) -> impl Future<Output = &'a str> + Send + 'a {
    async move {
        pause().await;
        a
    }
}

pub(crate) fn run() {
    is!(block_on(send(shape("a"))), "a");
}
