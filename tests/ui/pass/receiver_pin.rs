//! `self: Pin<&mut Self>`.
use profiled::profiled;

struct Cart(u32);
impl Cart {
    #[profiled]
    fn shape(mut self: std::pin::Pin<&mut Self>) -> u32 {
        self.0 += 1;
        self.0
    }
}

pub(crate) fn run() {
    is!(std::pin::Pin::new(&mut Cart(1)).shape(), 2);
}
