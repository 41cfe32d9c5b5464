//! `self: Box<Self>`.
use profiled::profiled;

struct Cart(u32);
impl Cart {
    #[profiled]
    fn shape(self: Box<Self>) -> u32 {
        self.0
    }
}

pub(crate) fn run() {
    is!(Box::new(Cart(1)).shape(), 1);
}
