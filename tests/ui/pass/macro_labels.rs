//! Labels from outside.
use profiled::profiled;

macro_rules! make {
    ($key:ident, $value:expr) => {
        #[profiled(labels($key = $value))]
        fn shape() -> u32 {
            5
        }
    };
}

make!(key, 1 + 1);

pub(crate) fn run() {
    is!(shape(), 5);
}
