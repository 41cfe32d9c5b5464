//! `return` before the end.
use profiled::profiled;

#[profiled]
fn shape(a: u32) -> u32 {
    if a == 0 {
        return 7;
    }
    a
}

pub(crate) fn run() {
    is!((shape(0), shape(1)), (7, 1));
}
