//! Whole `impl` blocks.
use super::{block_on, pause};
use profiled::profiled as prof;

#[derive(Default)]
struct Cart {
    n: u32,
}

#[prof]
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

    pub(crate) const fn constant(&self) -> u32 {
        self.n
    }

    #[allow(dead_code)]
    const unsafe fn unsafe_constant(&self) -> u32 {
        self.n
    }

    fn add(&mut self, n: u32) -> &mut Self {
        self.n += n;
        self
    }

    async fn wait(&self) -> u32 {
        pause().await;
        self.n
    }

    pub(self) async unsafe fn wait_unsafe(&self) -> u32 {
        self.n
    }

    unsafe extern "C" fn exported(n: u32) -> u32 {
        n
    }

    #[prof(skip)]
    fn skipped(&self) -> u32 {
        1
    }

    #[cfg_attr(all(), prof(skip))]
    fn skipped_conditionally(&self) -> u32 {
        2
    }

    #[prof(name = "blocks/own name")]
    fn own_name(&self) -> u32 {
        3
    }

    fn generic<T, const N: usize>(&self, list: [T; N]) -> usize
    where
        [T; {
            const ONE: usize = 1;
            ONE + 1
        }]: Sized,
    {
        list.len()
    }

    #[expect(dead_code)]
    fn nobody_calls(&self) {}

    fn arrow<F: Fn() -> u32>(&self, f: F) -> impl Fn() -> u32
    where
        F: Fn() -> u32,
    {
        move || f() + 1
    }
}

macro_rules! getter {
    ($name:ident) => {
        fn $name(&self) -> u32 {
            self.n
        }
    };
}

#[prof(name = "prefix", crate = ::profiled)]
impl Cart {
    getter! { braces }
    getter!(parentheses);
    fn after(&self) -> u32 {
        5
    }
}

trait Shop {
    const ID: u32;
    type Item;
    fn item(&self) -> Self::Item;
    fn open(&self) -> bool {
        true
    }
}

#[prof]
impl Shop for Cart {
    const ID: u32 = 9;
    type Item = u32;
    fn item(&self) -> u32 {
        self.n
    }
}

struct Wrapper<T>(T);

#[prof]
impl<T: Clone> Wrapper<T>
where
    T: Default,
{
    fn get(&self) -> T {
        self.0.clone()
    }
}

#[prof]
impl<'a, T> IntoIterator for &'a Wrapper<Vec<T>> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[prof]
unsafe impl Send for Marker {}
struct Marker(#[allow(dead_code)] *const u8);

#[prof(skip)]
impl Marker {
    fn left_alone(&self) -> u32 {
        1
    }
}

trait Object {}

#[prof]
impl dyn Object + '_ {
    #[allow(dead_code)]
    fn on_object(&self) {}
}

#[prof]
impl std::fmt::Display for Cart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.n)
    }
}

#[test]
fn every_method_works() {
    let mut cart = Cart::new();
    const CART: u32 = Cart { n: 3 }.constant();
    assert_eq!(CART, 3);
    assert_eq!(cart.add(1).n, 3);
    assert_eq!(block_on(cart.wait()), 3);
    assert_eq!(block_on(unsafe { cart.wait_unsafe() }), 3);
    assert_eq!(unsafe { Cart::exported(1) }, 1);
    assert_eq!((cart.skipped(), cart.skipped_conditionally(), cart.own_name()), (1, 2, 3));
    assert_eq!(cart.generic([1, 2]), 2);
    assert_eq!(cart.arrow(|| 1)(), 2);
    assert_eq!((cart.braces(), cart.parentheses(), cart.after()), (3, 3, 5));
    assert_eq!((Cart::ID, cart.item(), cart.open()), (9, 3, true));
    assert_eq!(Wrapper(1).get(), 1);
    assert_eq!((&Wrapper(vec![1])).into_iter().count(), 1);
    assert_eq!(Marker(std::ptr::null()).left_alone(), 1);
    assert_eq!(cart.to_string(), "3");
}
