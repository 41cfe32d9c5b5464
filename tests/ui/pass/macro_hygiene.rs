//! Locals of the macro and of its user with one name.
use crate::support::block_on;
use profiled::profiled;

macro_rules! make {
    ($outer:ident) => {
        #[profiled]
        fn shape($outer: u32) -> u32 {
            let local = 10;
            $outer + local
        }
        #[profiled]
        async fn later($outer: u32) -> u32 {
            let local = 10;
            $outer + local
        }
    };
}

make!(local);

pub(crate) fn run() {
    is!((shape(1), block_on(later(1))), (11, 11));
}
