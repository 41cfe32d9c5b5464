//! The prelude's names are others.
use crate::support::block_on;

mod inner {
    use profiled::profiled;
    pub(super) struct Some;
    pub(super) struct None;
    pub(super) struct Option;
    pub(super) struct Box;
    pub(super) struct String;
    pub(super) struct Vec;
    #[profiled]
    pub(super) fn shape(_: Some, _: None, _: Option, _: String, _: Vec) -> u64 {
        1
    }
    #[profiled]
    pub(super) async fn later() -> u64 {
        2
    }
    #[profiled]
    impl Box {
        pub(super) fn pin(a: u64) -> u64 {
            a
        }
    }
    #[profiled]
    pub(super) fn not_the_box() -> u64 {
        Box::pin(3)
    }
}

pub(crate) fn run() {
    use inner::{later, not_the_box, shape};
    is!(
        (
            shape(inner::Some, inner::None, inner::Option, inner::String, inner::Vec),
            block_on(later()),
            not_the_box()
        ),
        (1, 2, 3)
    );
}
