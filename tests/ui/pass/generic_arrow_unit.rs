//! `->` in `where` alone.
use profiled::profiled;

#[profiled]
fn shape<F, G>(f: F, g: G)
where
    F: Fn() -> u32,
    G: Fn(u32) -> (),
{
    g(f())
}

pub(crate) fn run() {
    shape(|| 1, |a| is!(a, 1));
}
