//! `for<'a>`.
use profiled::profiled;

#[profiled]
fn shape<F>(f: F) -> usize
where
    for<'a> F: Fn(&'a str) -> &'a str,
{
    f("abc").len()
}

pub(crate) fn run() {
    is!(shape(|a| &a[1..]), 2);
}
