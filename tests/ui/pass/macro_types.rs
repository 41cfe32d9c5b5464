//! Types and lifetimes from outside.
use crate::support::block_on;
use profiled::profiled;

macro_rules! make {
    ($life:lifetime, $ty:ty, $output:ty, $bound:path) => {
        #[profiled]
        async fn shape<$life, T: $bound>(a: &$life $ty, _t: T) -> $output {
            a.len()
        }
    };
}

make!('a, str, usize, std::fmt::Debug);

pub(crate) fn run() {
    is!(block_on(shape("abc", 1)), 3);
}
