//! A function inside a closure.
use profiled::profiled;

pub(crate) fn run() {
    let f = || {
        #[profiled]
        fn shape() -> u32 {
            1
        }
        shape()
    };
    is!(f(), 1);
}
