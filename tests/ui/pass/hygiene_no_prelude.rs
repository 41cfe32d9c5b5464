//! Without a prelude.
#![no_implicit_prelude]
use crate::support::block_on;

#[::profiled::profiled]
fn shape(a: u32) -> u32 {
    a + 1
}

#[::profiled::profiled]
async fn later(a: u32) -> u32 {
    if a == 0 {
        return 0;
    }
    a + 1
}

#[::profiled::profiled]
fn future(a: u32) -> impl ::core::future::Future<Output = u32> {
    async move { a }
}

#[::profiled::profiled(labels(key = 1))]
fn labelled() -> u32 {
    5
}

struct Cart;
#[::profiled::profiled(name = "prelude_less")]
impl Cart {
    fn new() -> Self {
        Cart
    }
    async fn wait(&self) -> u32 {
        3
    }
}

pub(crate) fn run() {
    is!((shape(1), labelled()), (2, 5));
    is!((block_on(later(1)), block_on(future(1)), block_on(Cart::new().wait())), (2, 1, 3));
}
