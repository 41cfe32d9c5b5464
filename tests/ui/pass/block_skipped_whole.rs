//! A block that is left alone.
use profiled::profiled;

struct Marker;
#[profiled(skip)]
impl Marker {
    fn shape(&self) -> u32 {
        1
    }
}

pub(crate) fn run() {
    is!(Marker.shape(), 1);
}
