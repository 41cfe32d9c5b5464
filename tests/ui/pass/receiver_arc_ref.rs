//! `self: &Arc<Self>`.
use profiled::profiled;

struct Cart(u32);
impl Cart {
    #[profiled]
    fn shape(self: &std::sync::Arc<Self>) -> u32 {
        self.0
    }
}

pub(crate) fn run() {
    is!(std::sync::Arc::new(Cart(1)).shape(), 1);
}
