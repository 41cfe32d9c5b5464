//! Modules with the names of crates, ours among them.
use crate::support::block_on;

use ::profiled::profiled as attribute;
#[allow(unused)]
mod std {}
#[allow(unused)]
mod core {}
#[allow(unused)]
mod alloc {}
#[allow(unused)]
mod profiled {
    pub mod __private {}
}

#[allow(unused)]
mod inventory {}
#[attribute]
fn shape() -> u32 {
    1
}

#[attribute]
async fn later() -> u32 {
    2
}

struct Cart;
#[attribute]
impl Cart {
    fn method() -> u32 {
        3
    }
}

pub(crate) fn run() {
    is!((shape(), block_on(later()), Cart::method()), (1, 2, 3));
}
