//! The whole function is a `$item:item`.
use crate::support::block_on;
use profiled::profiled;

macro_rules! make {
    ($item:item) => {
        #[profiled]
        $item
    };
}

make! { pub(crate) fn shape() -> u32 { 4 } }
make! {
    #[inline]
    /// Documented.
    async fn later(a: u32) -> u32 { a }
}

pub(crate) fn run() {
    is!((shape(), block_on(later(1))), (4, 1));
}
