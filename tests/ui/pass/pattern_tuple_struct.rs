//! A tuple struct, and a path to it.
use profiled::profiled;

mod inner {
    pub(super) struct Meters(pub(super) u32);
}

#[profiled]
fn shape(inner::Meters(a): inner::Meters, self::inner::Meters(ref b): inner::Meters) -> u32 {
    a + *b
}

pub(crate) fn run() {
    is!(shape(inner::Meters(1), inner::Meters(2)), 3);
}
