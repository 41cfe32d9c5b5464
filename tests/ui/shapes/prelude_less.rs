//! Without a prelude.
#![no_implicit_prelude]

#[::profiled::profiled]
fn sync(a: u32) -> u32 {
    a + 1
}

#[::profiled::profiled]
async fn asynchronous(a: u32) -> u32 {
    if a == 0 {
        return 0;
    }
    a + 1
}

#[::profiled::profiled]
fn future(a: u32) -> impl ::core::future::Future<Output = u32> {
    async move { a }
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

#[::core::prelude::v1::test]
fn they_all_work() {
    ::std::assert_eq!(sync(1), 2);
    ::std::assert_eq!(super::block_on(asynchronous(1)), 2);
    ::std::assert_eq!(super::block_on(future(1)), 1);
    ::std::assert_eq!(super::block_on(Cart::new().wait()), 3);
}
