//! Items with our items' names, around and inside.
use profiled::profiled;

static __PROFILED_SITE: u32 = 6;
#[profiled]
fn around() -> u32 {
    enum __ProfiledHere {}
    static SITE: u32 = 7;
    __PROFILED_SITE + SITE + u32::try_from(size_of::<__ProfiledHere>()).unwrap()
}

#[profiled]
fn inside() -> u32 {
    static __PROFILED_SITE: u32 = 8;
    __PROFILED_SITE
}

pub(crate) fn run() {
    is!((around(), inside()), (13, 8));
}
