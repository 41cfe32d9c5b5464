//! A body that is a `$e:expr`.
use profiled::profiled;

macro_rules! make {
    ($name:ident, $e:expr) => {
        #[profiled]
        fn $name() -> u32 {
            $e
        }
    };
}

make!(shape, 1 + 2);

pub(crate) fn run() {
    is!(shape(), 3);
}
