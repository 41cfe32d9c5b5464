//! A function inside a constant.
use profiled::profiled;

const C: u32 = {
    #[profiled]
    #[allow(dead_code)]
    fn shape() -> u32 {
        1
    }
    2
};

pub(crate) fn run() {
    is!(C, 2);
}
