//! `let .. else` leaves the function.
use profiled::profiled;

#[profiled]
fn shape(n: Option<u32>) -> u32 {
    let Some(n) = n else { return 0 };
    n + 1
}

pub(crate) fn run() {
    is!((shape(None), shape(Some(1))), (0, 2));
}
