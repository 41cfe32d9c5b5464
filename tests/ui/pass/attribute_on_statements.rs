//! Attributes on statements and expressions inside.
use profiled::profiled;

#[profiled]
fn shape() -> u32 {
    #[allow(unused_variables)]
    let unused = 1;
    #[cfg(any())]
    return nothing;
    #[rustfmt::skip]
    let n =   1;
    n
}

pub(crate) fn run() {
    is!(shape(), 1);
}
