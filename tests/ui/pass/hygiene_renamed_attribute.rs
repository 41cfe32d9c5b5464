//! The attribute under another name, and a function and a type with its own.

use ::profiled::profiled as p;
#[p]
fn profiled() -> u32 {
    1
}

struct Profiled;
#[p]
impl Profiled {
    #[p(skip)]
    fn profiled(&self) -> u32 {
        profiled() + 1
    }
    fn method(&self) -> u32 {
        self.profiled() + 1
    }
}

pub(crate) fn run() {
    is!((Profiled.profiled(), Profiled.method()), (2, 3));
}
