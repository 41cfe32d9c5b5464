//! A method with an attribute of its own in an annotated block.
use crate::support::block_on;
use profiled::profiled;

struct Cart(u32);
#[profiled(name = "cart")]
impl Cart {
    #[profiled(name = "cart/own name")]
    fn own(&self) -> u32 {
        self.0
    }
    #[profiled]
    async fn plain(&self) -> u32 {
        self.0 + 1
    }
}

pub(crate) fn run() {
    is!((Cart(1).own(), block_on(Cart(1).plain())), (1, 2));
}
