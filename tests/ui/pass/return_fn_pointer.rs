//! A function becomes a pointer.
use profiled::profiled;

#[profiled]
fn shape(flag: bool) -> fn(u32) -> u32 {
    fn one(n: u32) -> u32 {
        n + 1
    }
    if flag { one } else { |n| n + 2 }
}

pub(crate) fn run() {
    is!((shape(true)(1), shape(false)(1)), (2, 3));
}
