//! `dyn Fn` and `dyn FnOnce`.
use profiled::profiled;

#[profiled]
fn shape(f: &dyn Fn(u32) -> u32, boxed: Box<dyn FnOnce() -> u32 + '_>) -> u32 {
    f(1) + boxed()
}

pub(crate) fn run() {
    is!(shape(&|a| a, Box::new(|| 2)), 3);
}
