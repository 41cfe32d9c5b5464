//! It calls itself.
use profiled::profiled;

#[profiled]
fn shape(n: u64) -> u64 {
    if n < 2 { n } else { shape(n - 1) + shape(n - 2) }
}

pub(crate) fn run() {
    is!(shape(10), 55);
}
