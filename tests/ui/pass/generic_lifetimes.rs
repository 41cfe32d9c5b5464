//! One lifetime outlives another.
use profiled::profiled;

#[profiled]
fn shape<'a, 'b: 'a>(a: &'a str, b: &'b str) -> &'a str {
    if a.is_empty() { b } else { a }
}

pub(crate) fn run() {
    is!((shape("", "b"), shape("a", "b")), ("b", "a"));
}
