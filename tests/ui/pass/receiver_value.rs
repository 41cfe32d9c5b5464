//! `self`.
use crate::support::{Note, order};
use profiled::profiled;

struct Cart(Note);
impl Cart {
    #[profiled]
    fn shape(self) -> usize {
        (self.0).0.len()
    }
}

pub(crate) fn run() {
    is!((order(|| _ = Cart(Note("cart")).shape()), Cart(Note("cart")).shape()), ("cart".to_owned(), 4));
}
