//! `#[cfg]` on the function takes it away whole.
use profiled::profiled;

#[profiled]
#[cfg(any())]
fn shape() -> Nothing {}
#[cfg(not(any()))]
#[profiled]
fn shape() -> u32 {
    1
}

pub(crate) fn run() {
    is!(shape(), 1);
}
