//! Below `inline(always)`, above `cold`.
use profiled::profiled;

#[inline(always)]
#[profiled]
#[cold]
fn shape() -> u32 {
    2
}

pub(crate) fn run() {
    is!(shape(), 2);
}
