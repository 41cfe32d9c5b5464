//! One parameter.
use profiled::profiled;

#[profiled]
fn shape<T>(value: T) -> T {
    value
}

pub(crate) fn run() {
    is!((shape(1), shape("a")), (1, "a"));
}
