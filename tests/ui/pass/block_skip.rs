//! `skip` in a block, also under a condition.
use profiled::profiled;

struct Cart(u32);
#[profiled]
impl Cart {
    #[profiled(skip)]
    fn skipped(&self) -> u32 {
        self.0
    }
    #[cfg_attr(all(), profiled(skip))]
    fn conditionally(&self) -> u32 {
        self.0 + 1
    }
}

pub(crate) fn run() {
    is!((Cart(1).skipped(), Cart(1).conditionally()), (1, 2));
}
