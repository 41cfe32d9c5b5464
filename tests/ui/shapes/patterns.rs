//! Patterns where arguments have their names.
use profiled::profiled;

struct Point {
    x: u32,
    y: u32,
}

#[profiled]
fn tuple((a, b): (u32, u32)) -> u32 {
    a * 10 + b
}

#[profiled]
fn fields(Point { x, y: other }: Point, Point { y, .. }: &Point) -> u32 {
    x * 100 + other * 10 + y
}

#[profiled]
fn array([first, .., last]: [u32; 3]) -> u32 {
    first * 10 + last
}

#[profiled]
fn references(&a: &u32, ref b: u32, mut c: u32) -> u32 {
    c += a + *b;
    c
}

#[profiled]
fn ignored(_: u32, _named: u32) {}

#[profiled]
fn whole(all @ (a, _): (u32, u32)) -> u32 {
    all.1 * 10 + a
}

#[profiled]
fn conditional(#[cfg(any(unix, not(unix)))] a: u32, #[cfg(any())] b: Nothing) -> u32 {
    a
}

#[profiled]
async fn async_patterns(
    (a, mut b): (u32, u32),
    Point { x, y: ref z }: Point,
    [c, _]: [u32; 2],
    _: u8,
) -> u32 {
    b += 1;
    super::pause().await;
    a + b + x + *z + c
}

#[profiled]
async fn async_conditional(#[cfg(any(unix, not(unix)))] a: u32, #[cfg(any())] b: Nothing) -> u32 {
    a
}

#[profiled]
async fn in_format(a: u32, b: u32) -> String {
    format!("{a} {b:>3}")
}

#[test]
fn they_bind() {
    assert_eq!(tuple((1, 2)), 12);
    assert_eq!(fields(Point { x: 1, y: 2 }, &Point { x: 0, y: 3 }), 123);
    assert_eq!(array([1, 2, 3]), 13);
    assert_eq!(references(&1, 2, 3), 6);
    ignored(1, 2);
    assert_eq!(whole((1, 2)), 21);
    assert_eq!(conditional(1), 1);
    assert_eq!(super::block_on(async_patterns((1, 2), Point { x: 3, y: 4 }, [5, 6], 7)), 16);
    assert_eq!(super::block_on(async_conditional(1)), 1);
    assert_eq!(super::block_on(in_format(1, 2)), "1   2");
}
