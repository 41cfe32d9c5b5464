//! A method whose `self` comes from outside.
use profiled::profiled;

macro_rules! make {
    ($self:ident, $name:ident, $body:expr) => {
        #[profiled]
        fn $name(&$self) -> u32 { $body }
    };
}

struct Cart(u32);
impl Cart {
    make!(self, shape, self.0 + 1);
}

pub(crate) fn run() {
    is!(Cart(1).shape(), 2);
}
