//! Coercions inside the box.
use crate::support::block_on;
use profiled::profiled;
use std::future::Future;
use std::pin::Pin;

#[profiled]
fn shape(flag: bool) -> Pin<Box<dyn Future<Output = Option<Box<dyn std::fmt::Display>>>>> {
    Box::pin(async move {
        if flag {
            return None;
        }
        Some(Box::new(1) as _)
    })
}

pub(crate) fn run() {
    is!((block_on(shape(true)).is_none(), block_on(shape(false)).is_some()), (true, true));
}
