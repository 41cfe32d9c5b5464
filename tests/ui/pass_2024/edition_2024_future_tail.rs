//! Since 2024: the same, in a block that comes back.
use crate::support::block_on;
use profiled::profiled;
use std::future::Future;

#[profiled]
fn shape() -> impl Future<Output = usize> {
    async move {
        let cell = std::cell::RefCell::new(vec![1]);
        cell.borrow().len()
    }
}

pub(crate) fn run() {
    is!(block_on(shape()), 1);
}
