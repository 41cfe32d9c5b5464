//! `drop` itself.
use crate::support::{Note, order};
use profiled::profiled;

struct Cart(&'static str);
impl Drop for Cart {
    #[profiled]
    fn drop(&mut self) {
        drop(Note(self.0));
    }
}

pub(crate) fn run() {
    is!(order(|| drop(Cart("cart"))), "cart");
}
