//! A local with the function's own name.
use profiled::profiled;

#[profiled]
fn shape() -> u32 {
    let shape = 4;
    shape
}

pub(crate) fn run() {
    is!(shape(), 4);
}
