//! Braces and arrows in signatures.
use profiled::profiled;

struct Cart;
#[profiled]
impl Cart {
    fn generic<T, const N: usize>(&self, list: [T; N]) -> usize
    where
        [T; {
            const ONE: usize = 1;
            ONE + 1
        }]: Sized,
    {
        list.len()
    }
    fn arrow<F: Fn() -> u32>(&self, f: F) -> impl Fn() -> u32
    where
        F: Fn() -> u32,
    {
        move || f() + 1
    }
}

pub(crate) fn run() {
    is!((Cart.generic([1, 2]), Cart.arrow(|| 1)()), (2, 2));
}
