//! `unsafe fn`.
use profiled::profiled;

#[profiled]
unsafe fn shape(p: *const u32) -> u32 {
    unsafe { *p }
}

pub(crate) fn run() {
    is!(unsafe { shape(&5) }, 5);
}
