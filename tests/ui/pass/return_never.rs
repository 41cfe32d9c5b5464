//! `-> !`, whose tail is the panic.
use crate::support::panics;
use profiled::profiled;

#[profiled]
fn shape() -> ! {
    panic!("on purpose")
}

pub(crate) fn run() {
    is!(panics(|| shape()), "on purpose");
}
