//! An array becomes a slice.
use profiled::profiled;

#[profiled]
fn shape() -> &'static [u8] {
    &[1, 2, 3]
}

pub(crate) fn run() {
    is!(shape(), [1, 2, 3]);
}
