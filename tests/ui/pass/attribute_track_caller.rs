//! `#[track_caller]` below: the caller is the caller.
use profiled::profiled;

#[profiled]
#[track_caller]
fn shape() -> u32 {
    std::panic::Location::caller().line()
}

pub(crate) fn run() {
    is!(shape() == line!(), true);
}
