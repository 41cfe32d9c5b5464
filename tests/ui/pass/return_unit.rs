//! Nothing comes back.
use profiled::profiled;

#[profiled]
fn shape() {}

pub(crate) fn run() {
    shape();
    is!(1, 1);
}
