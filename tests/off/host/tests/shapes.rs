//! All shapes, expanded, over the crate that is off.
#![deny(warnings)]
#![allow(clippy::all)] // odd shapes are the point

/// The edition of the code that includes the shapes.
const EDITION: u32 = 2024;

#[macro_use]
#[path = "../../../ui/support.rs"]
mod support;

#[path = "../../../ui/pass/mod.rs"]
mod pass;

#[path = "../../../ui/pass_2024/mod.rs"]
mod pass_2024;

#[path = "../../../ui/names.rs"]
mod names;

profiled::__private::when_off! {
    use std::sync::atomic::{AtomicU32, Ordering};

    static CALLS: AtomicU32 = AtomicU32::new(0);

    mod facade {
        pub(super) mod __private {
            pub(crate) use profiled::__private::{FunctionSite, Name, register};
            pub(crate) fn enter(_: &'static FunctionSite) -> u32 {
                super::super::CALLS.fetch_add(1, super::super::Ordering::Relaxed)
            }
        }
    }

    /// Off, the attribute would not look at where it is told to find the crate.
    #[profiled::profiled(crate = self::facade)]
    fn expanded() {}

    #[test]
    fn the_attribute_is_on_and_the_crate_is_off() {
        expanded();
        assert_eq!(CALLS.load(Ordering::Relaxed), 1);
        assert!(profiled::profiles().is_empty());
    }
}
