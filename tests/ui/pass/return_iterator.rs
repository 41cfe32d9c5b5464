//! An iterator that borrows comes back.
use profiled::profiled;

#[profiled]
fn shape(list: &[u32]) -> impl Iterator<Item = &u32> {
    list.iter().filter(|n| **n > 1)
}

pub(crate) fn run() {
    is!(shape(&[1, 2, 3]).count(), 2);
}
