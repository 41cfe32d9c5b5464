//! `break` with a label, out of loops that wait.
use crate::support::{block_on, pause};
use profiled::profiled;

#[profiled]
async fn shape() -> u32 {
    let mut n = 0;
    'outer: loop {
        loop {
            pause().await;
            n += 1;
            if n == 3 {
                break 'outer;
            }
        }
    }
    n
}

pub(crate) fn run() {
    is!(block_on(shape()), 3);
}
