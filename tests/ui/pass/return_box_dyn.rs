//! Two types become one `Box<dyn ..>`, where they return.
use profiled::profiled;

#[profiled]
fn shape(flag: bool) -> Box<dyn std::fmt::Display> {
    if flag {
        return Box::new(1_u8);
    }
    Box::new("two")
}

pub(crate) fn run() {
    is!(format!("{}{}", shape(true), shape(false)), "1two");
}
