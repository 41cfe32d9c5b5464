//! Qualifiers of every sort in a block.
use crate::support::{block_on, pause};
use profiled::profiled;

struct Cart(u32);
#[profiled]
impl Cart {
    pub(self) async unsafe fn wait(&self) -> u32 {
        pause().await;
        self.0
    }
    unsafe extern "C" fn exported(n: u32) -> u32 {
        n
    }
    pub(self) fn restricted(&self) -> u32 {
        self.0
    }
}

pub(crate) fn run() {
    is!((block_on(unsafe { Cart(1).wait() }), unsafe { Cart::exported(2) }, Cart(3).restricted()), (1, 2, 3));
}
