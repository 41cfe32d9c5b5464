//! A closure inside with a `return` of its own.
use profiled::profiled;

#[profiled]
fn shape() -> u32 {
    let add = |a: u32| -> u32 {
        if a > 1 {
            return 10;
        }
        a
    };
    add(1) + add(2)
}

pub(crate) fn run() {
    is!(shape(), 11);
}
