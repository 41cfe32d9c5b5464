//! Items with our items' names, around and inside.
use profiled::profiled;

static __PROFILED_SITE: u32 = 6;
#[profiled]
fn around() -> u32 {
    static __PROFILED_START: u32 = 7;
    fn __profiled_start() -> u32 {
        0
    }
    __PROFILED_SITE + __PROFILED_START + __profiled_start()
}

#[profiled]
fn inside() -> u32 {
    static __PROFILED_SITE: u32 = 8;
    __PROFILED_SITE
}

pub(crate) fn run() {
    is!((around(), inside()), (13, 8));
}
