//! Functions by pointer, in an array.
use profiled::profiled;

#[profiled]
fn shape() -> [fn(u32) -> u32; 2] {
    [|n| n + 1, |n| n * 10]
}

pub(crate) fn run() {
    is!(shape().map(|f| f(2)), [3, 20]);
}
