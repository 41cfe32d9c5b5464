//! Two blocks of one type, and a `new` in each of two types.
use profiled::profiled;

struct Cart(u32);
struct Basket(u32);
#[profiled]
impl Cart {
    fn new() -> Self {
        Cart(1)
    }
}

#[profiled]
impl Cart {
    fn more(&self) -> u32 {
        self.0 + 1
    }
}

#[profiled]
impl Basket {
    fn new() -> Self {
        Basket(5)
    }
}

pub(crate) fn run() {
    is!((Cart::new().more(), Basket::new().0), (2, 5));
}
