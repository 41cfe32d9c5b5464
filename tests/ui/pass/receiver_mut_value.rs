//! `mut self`.
use profiled::profiled;

struct Cart(u32);
impl Cart {
    #[profiled]
    fn shape(mut self) -> Self {
        self.0 += 1;
        self
    }
}

pub(crate) fn run() {
    is!(Cart(1).shape().0, 2);
}
