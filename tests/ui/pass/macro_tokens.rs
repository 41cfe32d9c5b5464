//! Token by token.
use profiled::profiled;

macro_rules! make {
    ($($tokens:tt)*) => { #[profiled] $($tokens)* };
}

make! { unsafe extern "C" fn shape<'a>(a: &'a u32) -> &'a u32 { a } }

pub(crate) fn run() {
    is!(unsafe { *shape(&1) }, 1);
}
