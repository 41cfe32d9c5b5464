//! `self: Self`, `self: &Self`.
use profiled::profiled;

struct Cart(u32);
impl Cart {
    #[profiled]
    fn by_ref(self: &Self) -> u32 {
        self.0
    }
    #[profiled]
    fn by_value(self: Self) -> u32 {
        self.0
    }
}

pub(crate) fn run() {
    is!((Cart(1).by_ref(), Cart(2).by_value()), (1, 2));
}
