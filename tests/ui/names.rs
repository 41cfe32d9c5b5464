//! What the profiles are called.
#![allow(dead_code)]
use profiled::{lookup, profiled};

#[profiled]
fn free() {}

#[profiled]
async fn asynchronous() {}

#[profiled]
fn generic<T>(_: T) {}

#[profiled(name = "names/literal")]
fn literal() {}

#[profiled]
fn r#match() {}

#[profiled]
fn outer() {
    #[profiled]
    fn inner() {}
    inner();
}

struct Cart;
struct Basket<T>(T);

impl Cart {
    #[profiled]
    fn new() -> Self {
        Cart
    }
    #[profiled]
    fn wait(&self) -> impl Future<Output = ()> + use<> {
        async {}
    }
}

#[profiled]
impl<T> Basket<T> {
    fn new(t: T) -> Self {
        Basket(t)
    }
    const fn constant() {}
    #[profiled(skip)]
    fn skipped() {}
    #[profiled(name = "names/own")]
    fn own() {}
}

#[profiled(name = "names/prefix")]
impl Cart {
    async fn add(&self) {}
    #[profiled]
    fn again(&self) {}
}

#[profiled]
impl From<Cart> for u64 {
    fn from(_: Cart) -> u64 {
        1
    }
}

trait Shop {
    #[profiled]
    fn open(&self) {}
}

mod elsewhere {
    #[profiled::profiled]
    impl super::Cart {
        fn away(&self) {}
    }
}

use std::future::Future;

#[test]
fn every_function_is_found_before_it_ran() {
    let this = module_path!();
    let names = [
        "free",
        "asynchronous",
        "generic",
        "match",
        "outer",
        "outer::inner",
        "Cart::new",
        "Cart::wait",
        "Basket::new",
        "<u64 as From<Cart>>::from",
        "Shop::open",
        "elsewhere::Cart::away",
    ]
    .map(|name| format!("{this}::{name}"));
    let literals =
        ["names/literal", "names/own", "names/prefix::add", "names/prefix::again"].map(String::from);
    for name in names.into_iter().chain(literals) {
        let found = lookup(&name);
        if cfg!(feature = "enabled") {
            let names: Vec<_> = profiled::profiles().into_iter().map(|profile| profile.name()).collect();
            assert!(found.is_some(), "{name} is not among {names:#?}");
        } else {
            assert!(found.is_none(), "{name}");
        }
    }
    for name in ["Basket::constant", "Basket::skipped", "Basket::own", "Cart::add"] {
        assert!(lookup(&format!("{this}::{name}")).is_none(), "{name}");
    }
}
