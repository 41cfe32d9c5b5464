//! Patterns of every sort where the arguments are kept.
use crate::support::{block_on, pause};
use profiled::profiled;

struct Point {
    x: u32,
    y: u32,
}

#[profiled]
async fn shape((a, mut b): (u32, u32), Point { x, y: ref z }: Point, [c, _]: [u32; 2], _: u8) -> u32 {
    b += 1;
    pause().await;
    a + b + x + *z + c
}

pub(crate) fn run() {
    is!(block_on(shape((1, 2), Point { x: 3, y: 4 }, [5, 6], 7)), 16);
}
