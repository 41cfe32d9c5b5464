//! Since 2024: a temporary of the tail may borrow from a local.
use profiled::profiled;

#[profiled]
fn shape() -> usize {
    let cell = std::cell::RefCell::new(vec![1]);
    cell.borrow().len()
}

pub(crate) fn run() {
    is!(shape(), 1);
}
