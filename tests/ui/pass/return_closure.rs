//! A closure comes back.
use profiled::profiled;

#[profiled]
fn shape(by: u32) -> impl Fn(u32) -> u32 {
    move |a| a + by
}

pub(crate) fn run() {
    is!(shape(2)(1), 3);
}
