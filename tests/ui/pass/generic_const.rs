//! A constant for a parameter.
use profiled::profiled;

#[profiled]
fn shape<const N: usize>() -> [u8; N] {
    [1; N]
}

pub(crate) fn run() {
    is!(shape::<2>(), [1, 1]);
}
