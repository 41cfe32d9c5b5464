//! `unsafe extern "C-unwind" fn`, through which a panic goes.
use crate::support::panics;
use profiled::profiled;

#[profiled]
unsafe extern "C-unwind" fn shape(a: u32) -> u32 {
    assert!(a > 0, "none");
    a + 3
}

pub(crate) fn run() {
    is!((unsafe { shape(1) }, panics(|| unsafe { shape(0) })), (4, "none".to_owned()));
}
