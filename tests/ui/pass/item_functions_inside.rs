//! Functions inside, annotated themselves.
use profiled::profiled;

#[profiled]
fn shape() -> u32 {
    #[profiled]
    fn inner() -> u32 {
        #[profiled]
        fn innermost() -> u32 {
            3
        }
        innermost()
    }
    inner()
}

pub(crate) fn run() {
    is!(shape(), 3);
}
