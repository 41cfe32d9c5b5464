//! `name = ".."`, and a comma behind it.
use profiled::profiled;

#[profiled(name = "attributes/named")]
fn shape() -> u32 {
    6
}

pub(crate) fn run() {
    is!(shape(), 6);
}
