//! Functions that a `macro_rules!` makes.
use profiled::profiled;

macro_rules! with_block {
    ($visibility:vis $name:ident ($($argument:ident: $ty:ty),*) -> $output:ty $body:block) => {
        #[profiled]
        $visibility fn $name($($argument: $ty),*) -> $output $body
    };
}
with_block!(pub(crate) block(a: u32, b: Option<u32>) -> Option<u32> { Some(a + b?) });
with_block!(private() -> u32 { 1 });

macro_rules! async_block {
    ($name:ident ($argument:pat, $ty:ty) -> $output:ty $body:block) => {
        #[profiled]
        async fn $name($argument: $ty) -> $output $body
    };
}
async_block!(waits((a, b), (u32, u32)) -> Option<Box<dyn std::fmt::Debug>> {
    if a == 0 { return None; }
    super::pause().await;
    Some(Box::new(b))
});

macro_rules! with_expression {
    ($name:ident, $e:expr) => {
        #[profiled]
        fn $name() -> u32 {
            $e
        }
    };
}
with_expression!(expression, 1 + 2);

macro_rules! whole_item {
    ($item:item) => {
        #[profiled]
        $item
    };
}
whole_item! { pub(crate) fn item() -> u32 { 4 } }
whole_item! {
    #[inline]
    /// Documented.
    async fn async_item(a: u32) -> u32 { a }
}
whole_item! {
    impl Cart {
        fn in_item(&self) -> u32 { self.0 }
    }
}

macro_rules! method {
    ($self:ident, $name:ident, $body:expr) => {
        #[profiled]
        fn $name(&$self) -> u32 { $body }
    };
}
struct Cart(u32);
impl Cart {
    method!(self, by_macro, self.0 + 1);
}

macro_rules! several {
    ($($name:ident = $n:literal),*) => { $(
        #[profiled(name = "macros/several")]
        fn $name() -> u32 { $n }
    )* };
}
several!(one = 1, two = 2);

macro_rules! named {
    ($name:literal) => {
        #[profiled(name = $name)]
        fn with_name() -> u32 {
            5
        }
    };
}
named!("macros/literal");

macro_rules! own_locals {
    ($outer:ident) => {
        #[profiled]
        fn hygienic($outer: u32) -> u32 {
            let local = 10;
            $outer + local
        }
        #[profiled]
        async fn hygienic_async($outer: u32) -> u32 {
            let local = 10;
            $outer + local
        }
    };
}
own_locals!(local);

macro_rules! tokens {
    ($($tokens:tt)*) => { #[profiled] $($tokens)* };
}
tokens! { unsafe extern "C" fn by_tokens<'a>(a: &'a u32) -> &'a u32 { a } }

macro_rules! blocks {
    ($ty:ty, $($member:item)*) => {
        #[profiled]
        impl $ty { $($member)* }
    };
}
blocks! { Cart, fn associated() -> u32 { 6 } const fn constant() -> u32 { 7 } }

macro_rules! through_crate {
    () => {
        #[profiled(crate = $crate::shapes::macros::again)]
        fn by_crate() -> u32 {
            8
        }
    };
}
#[allow(unused_imports)]
pub(crate) use profiled as again;
through_crate!();

#[test]
fn they_all_work() {
    assert_eq!((block(1, Some(1)), block(1, None), private()), (Some(2), None, 1));
    assert!(super::block_on(waits((0, 1))).is_none());
    assert!(super::block_on(waits((1, 1))).is_some());
    assert_eq!((expression(), item(), super::block_on(async_item(1))), (3, 4, 1));
    assert_eq!((Cart(1).by_macro(), Cart(1).in_item()), (2, 1));
    assert_eq!((one(), two(), with_name()), (1, 2, 5));
    assert_eq!((hygienic(1), super::block_on(hygienic_async(1))), (11, 11));
    assert_eq!(unsafe { *by_tokens(&1) }, 1);
    assert_eq!((Cart::associated(), Cart::constant(), by_crate()), (6, 7, 8));
}
