//! A function of a function comes back.
use profiled::profiled;

#[profiled]
fn shape(by: u32) -> impl Fn(u32) -> Box<dyn Fn(u32) -> u32> {
    move |a| Box::new(move |b| a + b + by)
}

pub(crate) fn run() {
    is!(shape(1)(2)(3), 6);
}
