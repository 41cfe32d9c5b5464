//! `-> !`, with a semicolon behind the panic.
use crate::support::panics;
use profiled::profiled;

#[profiled]
fn shape() -> ! {
    std::panic::panic_any("on purpose");
}

pub(crate) fn run() {
    is!(panics(|| shape()), "on purpose");
}
