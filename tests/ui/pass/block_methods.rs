//! All methods of a type, constants and constant functions among them.
use profiled::profiled;

#[derive(Default)]
struct Cart {
    n: u32,
}

#[profiled]
impl Cart {
    #![allow(clippy::new_without_default)]

    /// A constant.
    const START: u32 = { 1 + 1 };
    #[allow(dead_code)]
    const ARRAY: [u8; 3] = [0; { 1 + 2 }];

    /// Documented.
    #[must_use]
    pub fn new() -> Self {
        Cart { n: Self::START }
    }

    fn add(&mut self, n: u32) -> &mut Self {
        self.n += n;
        self
    }
}

pub(crate) fn run() {
    is!(Cart::new().add(1).n, 3);
}
