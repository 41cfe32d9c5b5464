//! Arguments with the names that others' guards have.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
fn shape(_guard: u32, __guard__: u32, guard: u32, __tracing_attr_span: u32) -> u32 {
    _guard + __guard__ + guard + __tracing_attr_span
}

#[profiled]
async fn later(_guard: u32, __guard__: u32, __g: u32) -> u32 {
    _guard + __guard__ + __g
}

pub(crate) fn run() {
    is!((shape(1, 2, 3, 4), block_on(later(1, 2, 3))), (10, 6));
}
