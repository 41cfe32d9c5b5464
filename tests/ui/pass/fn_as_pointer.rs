//! Its address is taken, and it is passed on.
use profiled::profiled;

#[profiled]
fn shape(n: u32) -> u32 {
    n + 1
}

#[profiled]
fn apply(f: fn(u32) -> u32, n: u32) -> u32 {
    f(n)
}

pub(crate) fn run() {
    is!((apply(shape, 1), [1, 2].map(shape)), (2, [2, 3]));
}
