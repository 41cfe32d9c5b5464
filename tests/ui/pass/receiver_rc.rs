//! `self: Rc<Self>`.
use profiled::profiled;

struct Cart(u32);
impl Cart {
    #[profiled]
    fn shape(self: std::rc::Rc<Self>) -> u32 {
        self.0
    }
}

pub(crate) fn run() {
    is!(std::rc::Rc::new(Cart(1)).shape(), 1);
}
