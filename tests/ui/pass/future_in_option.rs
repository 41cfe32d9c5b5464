//! A future inside of an `Option`.
use crate::support::block_on;
use profiled::profiled;
use std::future::Future;

#[profiled]
fn shape(a: u32) -> Option<impl Future<Output = u32>> {
    Some(async move { a })
}

pub(crate) fn run() {
    is!(block_on(shape(1).unwrap()), 1);
}
