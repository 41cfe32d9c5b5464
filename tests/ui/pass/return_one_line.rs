//! The whole function in one line: a brace more would be one too many.
use profiled::profiled;

#[rustfmt::skip]
#[profiled]
fn shape(a: u32) -> u32 { a + 1 }

pub(crate) fn run() {
    is!(shape(1), 2);
}
