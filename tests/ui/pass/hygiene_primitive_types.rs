//! The primitive types' names are others.
use crate::support::block_on;

#[allow(non_camel_case_types)]
mod inner {
    use profiled::profiled;
    pub(super) struct str;
    pub(super) struct bool;
    pub(super) struct u32;
    pub(super) struct usize;
    #[profiled]
    pub(super) fn shape(_: str, _: bool, _: u32, _: usize) -> u64 {
        1
    }
    #[profiled]
    pub(super) async fn later() -> u64 {
        2
    }
}

pub(crate) fn run() {
    is!((inner::shape(inner::str, inner::bool, inner::u32, inner::usize), block_on(inner::later())), (1, 2));
}
