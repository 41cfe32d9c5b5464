//! A macro inside.
use profiled::profiled;

#[profiled]
fn shape() -> u32 {
    macro_rules! add {
        ($($n:expr),*) => { 0 $(+ $n)* };
    }
    add!(1, 2, 3)
}

pub(crate) fn run() {
    is!(shape(), 6);
}
