//! `#[deprecated]`.
use profiled::profiled;

#[profiled]
#[allow(dead_code)]
#[deprecated(note = "on purpose")]
fn shape() {}

pub(crate) fn run() {
    is!(1, 1);
}
