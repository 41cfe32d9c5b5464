//! Above documentation, `inline`, `must_use` and a condition.
use profiled::profiled;

/// Documented.
#[profiled]
#[inline]
#[must_use]
#[cfg_attr(all(), doc = "more")]
fn shape() -> u32 {
    1
}

pub(crate) fn run() {
    is!(shape(), 1);
}
