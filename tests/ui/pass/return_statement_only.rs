//! `return` as the last statement.
use profiled::profiled;

#[profiled]
#[allow(clippy::needless_return)]
fn shape(a: u32) -> u32 {
    return a + 1;
}

pub(crate) fn run() {
    is!(shape(1), 2);
}
