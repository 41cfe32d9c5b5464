//! `async unsafe fn`.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
async unsafe fn shape(p: *const u32) -> u32 {
    unsafe { *p }
}

pub(crate) fn run() {
    is!(block_on(unsafe { shape(&5) }), 5);
}
