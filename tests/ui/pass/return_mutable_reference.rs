//! What was lent comes back.
use profiled::profiled;

#[profiled]
fn shape(list: &mut [u32]) -> &mut u32 {
    &mut list[0]
}

pub(crate) fn run() {
    let mut list = [1];
    *shape(&mut list) += 1;
    is!(list, [2]);
}
