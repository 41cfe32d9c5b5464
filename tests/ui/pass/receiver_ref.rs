//! `&self`.
use profiled::profiled;

struct Cart(u32);
impl Cart {
    #[profiled]
    fn shape(&self) -> &u32 {
        &self.0
    }
}

pub(crate) fn run() {
    is!(*Cart(1).shape(), 1);
}
