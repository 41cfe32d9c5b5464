//! Inner attributes and an inner comment.
use profiled::profiled;

#[profiled]
fn shape() -> u32 {
    #![allow(unused_variables)]
    #![allow(clippy::all)]
    //! And a comment.
    let unused = 1;
    2
}

pub(crate) fn run() {
    is!(shape(), 2);
}
