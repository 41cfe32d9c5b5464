//! Code that is not reached is seen.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
#[expect(unreachable_code)]
async fn later() -> u32 {
    return 1;
    2
}

#[profiled]
#[expect(unreachable_code)]
fn shape() -> u32 {
    return 1;
    2
}

pub(crate) fn run() {
    is!((block_on(later()), shape()), (1, 1));
}
