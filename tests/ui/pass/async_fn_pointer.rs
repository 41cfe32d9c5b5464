//! Two functions become one pointer.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
async fn shape(flag: bool) -> fn(u32) -> u32 {
    fn a(n: u32) -> u32 {
        n
    }
    fn b(n: u32) -> u32 {
        n + 1
    }
    if flag {
        return a;
    }
    b
}

pub(crate) fn run() {
    is!((block_on(shape(true))(1), block_on(shape(false))(1)), (1, 2));
}
