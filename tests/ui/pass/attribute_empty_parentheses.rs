//! `#[profiled()]`.
use profiled::profiled;

#[profiled()]
fn shape() -> u32 {
    9
}

pub(crate) fn run() {
    is!(shape(), 9);
}
