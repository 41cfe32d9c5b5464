//! A block for an argument of a type.
use profiled::profiled;

struct Matrix<const R: usize>;
#[profiled]
fn shape() -> Matrix<{ 1 + 2 }> {
    Matrix::<3>
}

pub(crate) fn run() {
    let Matrix = shape();
    is!(3, 3);
}
