//! Pointers to functions of all sorts.
use profiled::profiled;

#[profiled]
fn shape(f: for<'a> fn(&'a u8) -> &'a u8, g: extern "C" fn(u8) -> u8) -> u8 {
    g(*f(&1))
}

extern "C" fn more(a: u8) -> u8 {
    a + 1
}

pub(crate) fn run() {
    is!(shape(|a| a, more), 2);
}
