//! Behind `cfg_attr`.
use profiled::profiled;

#[cfg_attr(all(), profiled)]
fn there() -> u32 {
    3
}

#[cfg_attr(any(), profiled)]
fn not_there() -> u32 {
    4
}

pub(crate) fn run() {
    is!((there(), not_there()), (3, 4));
}
