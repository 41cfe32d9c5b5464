//! A large value, made where the caller wants it.
use profiled::profiled;

#[profiled]
fn shape(n: u8) -> [u8; 4096] {
    [n; 4096]
}

pub(crate) fn run() {
    is!(shape(3).iter().map(|n| u32::from(*n)).sum::<u32>(), 12_288);
}
