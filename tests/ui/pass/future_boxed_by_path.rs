//! `std::boxed::Box::pin(async move ..)`, behind an alias.
use crate::support::{block_on, pause};
use profiled::profiled;
use std::future::Future;
use std::pin::Pin;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
#[profiled]
fn shape(a: u32) -> Boxed<'static, u32> {
    std::boxed::Box::pin(async move {
        pause().await;
        a
    })
}

pub(crate) fn run() {
    is!(block_on(shape(1)), 1);
}
