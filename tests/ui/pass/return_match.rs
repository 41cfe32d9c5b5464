//! The tail is a `match`.
use profiled::profiled;

#[profiled]
fn shape(n: u32) -> &'static str {
    match n {
        0 => "none",
        1 | 2 => "few",
        n if n < 10 => "some",
        _ => "many",
    }
}

pub(crate) fn run() {
    is!([0, 2, 5, 50].map(shape), ["none", "few", "some", "many"]);
}
