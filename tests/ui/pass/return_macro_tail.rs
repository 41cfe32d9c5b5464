//! The tail is a macro.
use profiled::profiled;

#[profiled]
fn shape(n: u32) -> String {
    format!("{n}")
}

pub(crate) fn run() {
    is!(shape(1), "1");
}
