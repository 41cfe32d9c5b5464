//! For certain machines.
use profiled::profiled;

#[cfg(target_arch = "x86_64")]
#[profiled]
#[target_feature(enable = "sse2")]
fn shape(a: u32) -> u32 {
    a + 5
}

#[cfg(not(target_arch = "x86_64"))]
#[profiled]
unsafe fn shape(a: u32) -> u32 {
    a + 5
}

pub(crate) fn run() {
    is!(unsafe { shape(1) }, 6);
}
