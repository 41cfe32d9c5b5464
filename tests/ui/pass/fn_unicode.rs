//! A name that is not ASCII.
use profiled::profiled;

#[profiled]
fn größe(länge: u32) -> u32 {
    länge * 2
}

pub(crate) fn run() {
    is!(größe(2), 4);
}
