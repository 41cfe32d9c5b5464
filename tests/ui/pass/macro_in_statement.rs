//! Made inside of a function.
use profiled::profiled;

macro_rules! make {
    ($name:ident) => {
        #[profiled]
        fn $name() -> u32 {
            1
        }
    };
}

pub(crate) fn run() {
    make!(shape);
    is!(shape(), 1);
}
