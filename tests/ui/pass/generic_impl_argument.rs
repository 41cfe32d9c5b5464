//! `impl Trait` for an argument.
use profiled::profiled;

#[profiled]
fn shape(list: impl IntoIterator<Item = u32>, f: impl Fn(u32) -> u32) -> u32 {
    list.into_iter().map(f).sum()
}

pub(crate) fn run() {
    is!(shape([1, 2], |a| a * 2), 6);
}
