//! `?` on an `Option`.
use profiled::profiled;

#[profiled]
fn shape(list: &[u32]) -> Option<u32> {
    Some(list.first()? + 1)
}

pub(crate) fn run() {
    is!((shape(&[1]), shape(&[])), (Some(2), None));
}
