//! Modules with the names of other tools.
use crate::support::block_on;
use profiled::profiled;

#[allow(unused)]
mod tracing {}
#[allow(unused)]
mod hotpath {}
#[allow(unused)]
mod fastrace {}
#[profiled]
fn shape() -> u32 {
    1
}

#[profiled]
async fn later() -> u32 {
    2
}

pub(crate) fn run() {
    is!((shape(), block_on(later())), (1, 2));
}
