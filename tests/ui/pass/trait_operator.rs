//! Operators and conversions.
use profiled::profiled;

#[derive(Clone, Copy, Debug, PartialEq)]
struct N(u32);
impl std::ops::Add for N {
    type Output = N;
    #[profiled]
    fn add(self, other: N) -> N {
        N(self.0 + other.0)
    }
}

impl From<u32> for N {
    #[profiled]
    fn from(n: u32) -> N {
        N(n)
    }
}

impl std::ops::Deref for N {
    type Target = u32;
    #[profiled]
    fn deref(&self) -> &u32 {
        &self.0
    }
}

pub(crate) fn run() {
    is!((N(1) + 2.into(), *N(5)), (N(3), 5));
}
