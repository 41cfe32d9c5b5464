//! Elided lifetimes in paths.
use profiled::profiled;

#[profiled]
fn shape(a: &str) -> std::str::Chars<'_> {
    a.chars()
}

pub(crate) fn run() {
    is!(shape("ab").count(), 2);
}
