//! `Self` comes back, and a constant of the type is used.
use profiled::profiled;

struct Cart(u32);
impl Cart {
    const N: u32 = 4;
    #[profiled]
    fn new() -> Self {
        Self(Self::N)
    }
}

pub(crate) fn run() {
    is!(Cart::new().0, 4);
}
