//! `'static`, as a spawned task has to be.
use crate::support::{block_on, pause};
use profiled::profiled;
use std::future::Future;

#[profiled]
async fn shape(n: String) -> String {
    pause().await;
    n
}

fn spawned<T: Future + Send + 'static>(future: T) -> T {
    future
}

pub(crate) fn run() {
    is!(block_on(spawned(shape("a".to_owned()))), "a");
}
