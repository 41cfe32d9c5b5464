//! `->` where it is none of ours: in bounds, in `where`, in arguments.
use profiled::profiled;

#[profiled]
fn shape<F: Fn(u32) -> u32, G>(f: F, g: G) -> u32
where
    G: Fn() -> u32,
{
    f(g())
}

pub(crate) fn run() {
    is!(shape(|a| a + 1, || 1), 2);
}
