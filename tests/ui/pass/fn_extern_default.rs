//! `extern fn`, by whatever convention that is.
use profiled::profiled;

#[profiled]
#[allow(missing_abi)]
extern "C" fn shape(a: u32) -> u32 {
    a + 2
}

pub(crate) fn run() {
    is!(shape(1), 3);
}
