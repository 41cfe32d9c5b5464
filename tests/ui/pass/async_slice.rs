//! An array becomes a slice.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
async fn shape() -> &'static [u8] {
    &[1, 2]
}

pub(crate) fn run() {
    is!(block_on(shape()), [1, 2]);
}
