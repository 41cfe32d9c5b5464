//! `#[profiled::profiled]`, without an import.

#[profiled::profiled]
fn shape() -> u32 {
    1
}

#[::profiled::profiled]
fn absolute() -> u32 {
    2
}

pub(crate) fn run() {
    is!((shape(), absolute()), (1, 2));
}
