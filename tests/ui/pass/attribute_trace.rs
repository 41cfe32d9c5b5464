//! `trace = false`.
use profiled::profiled;

#[profiled(trace = false)]
fn shape() -> u32 {
    8
}

pub(crate) fn run() {
    is!(shape(), 8);
}
