//! Arguments that are there under conditions.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
fn shape(#[cfg(any(unix, not(unix)))] a: u32, #[cfg(any())] b: Nothing) -> u32 {
    a
}

#[profiled]
async fn later(#[cfg(any(unix, not(unix)))] a: u32, #[cfg(any())] b: Nothing) -> u32 {
    a
}

pub(crate) fn run() {
    is!((shape(1), block_on(later(2))), (1, 2));
}
