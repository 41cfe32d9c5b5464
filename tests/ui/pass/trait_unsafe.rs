//! An unsafe trait.
use profiled::profiled;

unsafe trait Zeroed {
    unsafe fn zeroed() -> Self;
}

unsafe impl Zeroed for u32 {
    #[profiled]
    unsafe fn zeroed() -> u32 {
        0
    }
}

pub(crate) fn run() {
    is!(unsafe { u32::zeroed() }, 0);
}
