//! `&'a self`.
use profiled::profiled;

struct Cart(u32);
impl Cart {
    #[profiled]
    fn shape<'a>(&'a self, _other: &u32) -> &'a u32 {
        &self.0
    }
}

pub(crate) fn run() {
    is!(*Cart(1).shape(&2), 1);
}
