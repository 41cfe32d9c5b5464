//! The whole `impl` block is a `$item:item`.
use profiled::profiled;

macro_rules! make {
    ($item:item) => {
        #[profiled]
        $item
    };
}

struct Cart(u32);
make! {
    impl Cart {
        fn shape(&self) -> u32 { self.0 }
    }
}

pub(crate) fn run() {
    is!(Cart(1).shape(), 1);
}
