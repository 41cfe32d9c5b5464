//! `crate = path`, for a crate that re-exports this one.
use profiled::profiled;

mod facade {
    #[allow(unused_imports)]
    pub(super) use profiled as inner;
}

#[profiled(crate = self::facade::inner, labels(key = 1))]
fn shape() -> u32 {
    11
}

pub(crate) fn run() {
    is!(shape(), 11);
}
