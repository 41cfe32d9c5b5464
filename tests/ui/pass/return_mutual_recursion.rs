//! Two that call one another.
use profiled::profiled;

#[profiled]
fn even(n: u32) -> bool {
    n == 0 || odd(n - 1)
}

#[profiled]
fn odd(n: u32) -> bool {
    n != 0 && even(n - 1)
}

pub(crate) fn run() {
    is!((even(10), odd(10)), (true, false));
}
