//! `UnwindSafe`, as it was.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
async fn shape(n: u32) -> u32 {
    n
}

fn unwind_safe<T: std::panic::UnwindSafe>(value: T) -> T {
    value
}

pub(crate) fn run() {
    is!(block_on(unwind_safe(shape(1))), 1);
}
