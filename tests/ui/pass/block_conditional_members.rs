//! Members that are there under conditions.
use profiled::profiled;

struct Cart;
#[profiled]
impl Cart {
    #[cfg(any())]
    fn never(&self) -> Nothing {
        nothing
    }
    #[cfg(not(any()))]
    fn always(&self) -> u32 {
        1
    }
}

pub(crate) fn run() {
    is!(Cart.always(), 1);
}
