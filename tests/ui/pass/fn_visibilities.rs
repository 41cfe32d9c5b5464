//! `pub(in path)` and the like.

mod inner {
    use profiled::profiled;
    #[profiled]
    pub(super) fn a() -> u32 {
        1
    }
    #[profiled]
    pub(crate) fn b() -> u32 {
        2
    }
    #[profiled]
    pub(in super::inner) fn c() -> u32 {
        3
    }
    #[profiled]
    pub fn d() -> u32 {
        c() + 1
    }
}

pub(crate) fn run() {
    is!((inner::a(), inner::b(), inner::d()), (1, 2, 4));
}
