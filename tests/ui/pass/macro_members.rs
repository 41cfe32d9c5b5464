//! Members of a block, as `$member:item`.
use profiled::profiled;

macro_rules! make {
    ($ty:ty, $($member:item)*) => {
        #[profiled]
        impl $ty { $($member)* }
    };
}

struct Cart;
make! { Cart, fn shape() -> u32 { 6 } const fn constant() -> u32 { 7 } }

pub(crate) fn run() {
    is!((Cart::shape(), Cart::constant()), (6, 7));
}
