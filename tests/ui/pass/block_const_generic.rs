//! A block with a constant for a parameter, and a block in its header.
use profiled::profiled;

struct Matrix<const N: usize>([u8; N]);
#[profiled]
impl<const N: usize> Matrix<N> {
    fn size(&self) -> usize {
        self.0.len()
    }
}

#[profiled]
impl Matrix<{ 1 + 2 }> {
    fn three(&self) -> u8 {
        self.0[2]
    }
}

pub(crate) fn run() {
    is!((Matrix([0; 3]).size(), Matrix([1, 2, 3]).three()), (3, 3));
}
