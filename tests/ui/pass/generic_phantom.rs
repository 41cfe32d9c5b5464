//! A parameter that only its turbofish tells.
use profiled::profiled;

#[profiled]
fn shape<T>() -> usize {
    size_of::<T>()
}

pub(crate) fn run() {
    is!((shape::<u8>(), shape::<[u16; 4]>()), (1, 8));
}
