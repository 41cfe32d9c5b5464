//! What comes back cannot be printed.
use profiled::profiled;

#[derive(PartialEq)]
struct Plain(u32);
#[profiled]
fn shape(n: u32) -> Plain {
    Plain(n)
}

pub(crate) fn run() {
    is!(shape(3).0, 3);
}
