//! What must be used is seen, inside and outside.
use crate::support::{block_on, pause};
use profiled::profiled;

#[profiled]
#[must_use]
fn must() -> u32 {
    1
}

#[profiled]
#[expect(unused_must_use)]
fn shape() {
    must();
    Ok::<u32, u32>(1);
}

#[profiled]
#[expect(unused_must_use)]
async fn later() {
    must();
    pause();
}

pub(crate) fn run() {
    shape();
    block_on(later());
    is!(must(), 1);
}
