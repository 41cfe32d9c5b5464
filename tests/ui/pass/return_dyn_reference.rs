//! A reference to a trait object.
use profiled::profiled;

#[profiled]
fn shape<'a>(a: &'a u32, b: &'a str, flag: bool) -> &'a dyn std::fmt::Debug {
    if flag {
        return a;
    }
    Box::leak(Box::new(b.to_owned()))
}

pub(crate) fn run() {
    is!(format!("{:?} {:?}", shape(&1, "b", true), shape(&1, "b", false)), "1 \"b\"");
}
