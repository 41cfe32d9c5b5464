//! `extern "C" fn`.
use profiled::profiled;

#[profiled]
extern "C" fn shape(a: u32) -> u32 {
    a + 2
}

pub(crate) fn run() {
    is!(shape(1), 3);
}
