//! Fields, renamed and left out.
use profiled::profiled;

struct Point {
    x: u32,
    y: u32,
}

#[profiled]
fn shape(Point { x, y: other }: Point, Point { y, .. }: &Point) -> u32 {
    x * 100 + other * 10 + y
}

pub(crate) fn run() {
    is!(shape(Point { x: 1, y: 2 }, &Point { x: 0, y: 3 }), 123);
}
