//! `-> !`, by a loop that does not end.
use crate::support::panics;
use profiled::profiled;

#[profiled]
fn shape(mut n: u32) -> ! {
    loop {
        n += 1;
        assert!(n < 5, "enough");
    }
}

pub(crate) fn run() {
    is!(panics(|| shape(1)), "enough");
}
