//! Several of one name.
use profiled::profiled;

macro_rules! make {
    ($($name:ident = $n:literal),*) => { $(
        #[profiled(name = "macros/several")]
        fn $name() -> u32 { $n }
    )* };
}

make!(one = 1, two = 2);

pub(crate) fn run() {
    is!((one(), two()), (1, 2));
}
