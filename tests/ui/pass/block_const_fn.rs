//! A `const fn` in an annotated block stays one.
use profiled::profiled;

struct Cart(u32);
#[profiled]
impl Cart {
    pub(crate) const fn constant(&self) -> u32 {
        self.0
    }
    const unsafe fn unsafe_constant(&self) -> u32 {
        self.0
    }
    const extern "C" fn extern_constant() -> u32 {
        1
    }
    fn method(&self) -> u32 {
        self.constant()
    }
}

const CART: u32 = Cart(3).constant() + Cart::extern_constant();

pub(crate) fn run() {
    is!((CART, Cart(2).method(), unsafe { Cart(1).unsafe_constant() }), (4, 2, 1));
}
