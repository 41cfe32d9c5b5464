//! Items of every sort inside.
use profiled::profiled;

#[profiled]
fn shape() -> u32 {
    const LOCAL: u32 = 1;
    static STATIC: u32 = 2;
    struct Inner(u32);
    impl Inner {
        #[profiled]
        fn get(&self) -> u32 {
            self.0
        }
    }
    trait Twice {
        fn twice(&self) -> u32;
    }
    impl Twice for Inner {
        fn twice(&self) -> u32 {
            self.get() * 2
        }
    }
    use std::cmp::max;
    max(LOCAL, STATIC) + Inner(4).twice()
}

pub(crate) fn run() {
    is!(shape(), 10);
}
