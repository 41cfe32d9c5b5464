//! A constant block inside.
use profiled::profiled;

#[profiled]
fn shape() -> usize {
    const { size_of::<u32>() + 1 }
}

pub(crate) fn run() {
    is!(shape(), 5);
}
