//! A name that comes as a `$name:literal`.
use profiled::profiled;

macro_rules! make {
    ($name:literal) => {
        #[profiled(name = $name)]
        fn shape() -> u32 {
            5
        }
    };
}

make!("macros/literal");

pub(crate) fn run() {
    is!(shape(), 5);
}
