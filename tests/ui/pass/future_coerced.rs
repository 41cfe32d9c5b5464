//! Coercions inside the block.
use crate::support::block_on;
use profiled::profiled;
use std::future::Future;

#[profiled]
fn shape(flag: bool) -> impl Future<Output = Result<Box<dyn std::fmt::Display>, String>> {
    async move {
        if flag {
            return Err("a".to_owned());
        }
        Ok(Box::new(1) as _)
    }
}

pub(crate) fn run() {
    is!((block_on(shape(true)).is_err(), block_on(shape(false)).is_ok()), (true, true));
}
