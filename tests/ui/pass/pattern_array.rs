//! First and last of an array.
use profiled::profiled;

#[profiled]
fn shape([first, .., last]: [u32; 3]) -> u32 {
    first * 10 + last
}

pub(crate) fn run() {
    is!(shape([1, 2, 3]), 13);
}
