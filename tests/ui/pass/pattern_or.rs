//! Alternatives that bind alike.
use profiled::profiled;

enum Either {
    A(u32),
    B(u32),
}

#[profiled]
fn shape((Either::A(n) | Either::B(n)): Either) -> u32 {
    n
}

pub(crate) fn run() {
    is!(shape(Either::A(1)) + shape(Either::B(2)), 3);
}
