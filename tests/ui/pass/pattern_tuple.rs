//! A tuple.
use profiled::profiled;

#[profiled]
fn shape((a, b): (u32, u32)) -> u32 {
    a * 10 + b
}

pub(crate) fn run() {
    is!(shape((1, 2)), 12);
}
