//! `-> !`, by the end of the process.
use crate::support::panics;
use profiled::profiled;

#[profiled]
fn shape(code: i32) -> ! {
    if code == 0 {
        panic!("not today");
    }
    std::process::exit(code)
}

pub(crate) fn run() {
    is!(panics(|| shape(0)), "not today");
}
