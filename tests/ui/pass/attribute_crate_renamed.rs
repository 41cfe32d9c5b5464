//! `crate = path`, for a dependency of another name.
use crate::support::block_on;

extern crate profiled as renamed;
#[renamed::profiled(crate = self::renamed)]
fn shape() -> u32 {
    10
}

#[renamed::profiled(crate = self::renamed)]
async fn later() -> u32 {
    11
}

pub(crate) fn run() {
    is!((shape(), block_on(later())), (10, 11));
}
