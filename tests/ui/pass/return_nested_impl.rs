//! `impl Trait` inside of other types.
use profiled::profiled;

#[profiled]
fn shape(n: u32) -> (impl Iterator<Item = u32>, Option<impl Fn() -> u32>) {
    (0..n, Some(move || n))
}

pub(crate) fn run() {
    is!((shape(3).0.count(), shape(3).1.map(|f| f())), (3, Some(3)));
}
