//! `#[track_caller]` above, in a method.
use profiled::profiled;

struct Cart;
impl Cart {
    #[track_caller]
    #[profiled]
    fn shape(&self) -> &'static std::panic::Location<'static> {
        std::panic::Location::caller()
    }
}

pub(crate) fn run() {
    let here = line!() + 1;
    is!(Cart.shape().line() == here, true);
}
