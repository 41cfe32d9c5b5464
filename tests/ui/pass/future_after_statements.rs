//! Statements before the block.
use crate::support::{block_on, panics};
use profiled::profiled;
use std::future::Future;

#[profiled]
fn shape(a: &str) -> impl Future<Output = usize> + use<> {
    let length = a.len();
    if length > 100 {
        panic!("long");
    }
    async move { length }
}

pub(crate) fn run() {
    is!((block_on(shape("abc")), panics(|| drop(shape(&"a".repeat(101))))), (3, "long".to_owned()));
}
