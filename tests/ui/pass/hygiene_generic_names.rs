//! Parameters with the names of our types.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
fn shape<Name, Entry, FunctionSite>(a: Name, _b: Entry, _c: FunctionSite) -> Name {
    a
}

#[profiled]
async fn later<Polled>(a: Polled) -> Polled {
    a
}

pub(crate) fn run() {
    is!((shape(1, 2, 3), block_on(later(2))), (1, 2));
}
