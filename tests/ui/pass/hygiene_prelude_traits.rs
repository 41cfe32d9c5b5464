//! The prelude's traits and functions are others.
use crate::support::block_on;

mod inner {
    use profiled::profiled;
    pub(super) trait Send {}
    pub(super) trait Drop {}
    pub(super) trait Future {}
    pub(super) trait Into {}
    pub(super) trait Display {}
    impl Send for u8 {}
    impl Drop for u8 {}
    impl Future for u8 {}
    impl Into for u8 {}
    impl Display for u8 {}
    fn drop() {}
    #[profiled(labels(key = 1))]
    pub(super) fn shape<T: Send + Drop + Future + Into + Display>(_: T) -> u64 {
        drop();
        1
    }
    #[profiled(labels(key = 1))]
    pub(super) async fn later() -> u64 {
        drop();
        2
    }
}

pub(crate) fn run() {
    is!((inner::shape(1_u8), block_on(inner::later())), (1, 2));
}
