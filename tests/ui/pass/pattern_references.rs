//! `&`, `ref` and `mut`.
use profiled::profiled;

#[profiled]
fn shape(&a: &u32, ref b: u32, mut c: u32, ref mut d: u32) -> u32 {
    c += a + *b;
    *d += 1;
    c + *d
}

pub(crate) fn run() {
    is!(shape(&1, 2, 3, 4), 11);
}
