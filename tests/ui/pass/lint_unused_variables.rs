//! Unused arguments and locals are seen.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
#[expect(unused_variables)]
fn argument(argument: u32) {}
#[profiled]
#[expect(unused_variables)]
async fn async_argument(argument: u32) {}
#[profiled]
#[expect(unused_mut, unused_variables)]
fn local() {
    let mut local = 1;
}

pub(crate) fn run() {
    argument(1);
    block_on(async_argument(1));
    local();
    is!(1, 1);
}
