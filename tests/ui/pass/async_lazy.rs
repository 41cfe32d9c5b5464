//! Nothing runs before the first poll.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
async fn shape(flag: &std::cell::Cell<bool>) {
    flag.set(true);
}

pub(crate) fn run() {
    let flag = std::cell::Cell::new(false);
    let future = shape(&flag);
    is!(flag.get(), false);
    block_on(future);
    is!(flag.get(), true);
}
