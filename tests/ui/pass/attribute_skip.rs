//! `skip` on a function.
use profiled::profiled;

#[profiled(skip)]
fn shape() -> u32 {
    8
}

pub(crate) fn run() {
    is!(shape(), 8);
}
