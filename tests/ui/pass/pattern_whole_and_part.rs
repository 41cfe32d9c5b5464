//! `@`.
use profiled::profiled;

#[profiled]
fn shape(all @ (a, _): (u32, u32)) -> u32 {
    all.1 * 10 + a
}

pub(crate) fn run() {
    is!(shape((1, 2)), 21);
}
