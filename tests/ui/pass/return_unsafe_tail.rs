//! The tail is an `unsafe` block.
use profiled::profiled;

#[profiled]
fn shape(n: &u32) -> u32 {
    unsafe { *std::ptr::from_ref(n) }
}

pub(crate) fn run() {
    is!(shape(&4), 4);
}
