//! Parameters of all sorts.
use profiled::profiled;
use std::fmt::Debug;

#[profiled]
fn plain<T>(value: T) -> T {
    value
}

#[profiled]
fn bounded<T: Debug + Clone, U>(value: &T, _unused: U) -> String
where
    U: Into<String>,
{
    format!("{:?}", value.clone())
}

#[profiled]
fn arrows<F: Fn(u32) -> u32>(f: F) -> u32 {
    f(1)
}

#[profiled]
fn arrows_where<F, G>(f: F, g: G)
where
    F: Fn() -> u32,
    G: Fn(u32) -> (),
{
    g(f())
}

#[profiled]
fn higher<F>(f: F) -> usize
where
    for<'a> F: Fn(&'a str) -> &'a str,
{
    f("abc").len()
}

#[profiled]
fn constant<const N: usize>() -> [u8; N] {
    [1; N]
}

#[profiled]
fn constant_blocks<T, const N: usize>(
    _: [T; {
        const ONE: usize = 1;
        ONE + 1
    }],
) -> [u8; {
    const TWO: usize = 2;
    TWO + 1
}]
where
    [T; {
        const ONE: usize = 1;
        ONE + 1
    }]: Sized,
{
    [N as u8; {
        const TWO: usize = 2;
        TWO + 1
    }]
}

struct Matrix<const R: usize>;

#[profiled]
fn constant_argument() -> Matrix<{ 1 + 2 }> {
    Matrix::<3>
}

#[profiled]
fn impl_argument(list: impl IntoIterator<Item = u32>, f: impl Fn(u32) -> u32) -> u32 {
    list.into_iter().map(f).sum()
}

#[profiled]
fn dynamic(f: &dyn Fn(u32) -> u32, boxed: Box<dyn FnOnce() -> u32 + '_>) -> u32 {
    f(1) + boxed()
}

#[profiled]
fn lifetimes<'a, 'b: 'a>(a: &'a str, b: &'b str) -> &'a str {
    if a.is_empty() { b } else { a }
}

#[profiled]
fn elided(a: &str) -> std::str::Chars<'_> {
    a.chars()
}

#[profiled]
fn qualified<I: Iterator>(mut list: I) -> Option<<I as Iterator>::Item>
where
    <I as Iterator>::Item: Copy,
{
    list.next()
}

#[profiled]
fn pointers(f: for<'a> fn(&'a u8) -> &'a u8, g: extern "C" fn(u8) -> u8) -> u8 {
    g(*f(&1))
}

struct Pair<A, B = u8>(A, B);

impl<A: Copy, B> Pair<A, B>
where
    B: Default,
{
    #[profiled]
    fn swap<C: From<A>>(&self) -> (B, C) {
        (B::default(), C::from(self.0))
    }
}

#[profiled]
fn unsized_reference<T: ?Sized + Debug>(value: &T) -> String {
    format!("{value:?}")
}

#[test]
fn they_mean_what_they_meant() {
    extern "C" fn more(a: u8) -> u8 {
        a + 1
    }
    assert_eq!(plain(1), 1);
    assert_eq!(bounded(&[1], "x"), "[1]");
    assert_eq!(arrows(|a| a + 1), 2);
    arrows_where(|| 1, |a| assert_eq!(a, 1));
    assert_eq!(higher(|a| &a[1..]), 2);
    assert_eq!(constant::<2>(), [1, 1]);
    assert_eq!(constant_blocks::<u8, 4>([0, 0]), [4, 4, 4]);
    let Matrix = constant_argument();
    assert_eq!(impl_argument([1, 2], |a| a * 2), 6);
    assert_eq!(dynamic(&|a| a, Box::new(|| 2)), 3);
    assert_eq!(lifetimes("", "b"), "b");
    assert_eq!(elided("ab").count(), 2);
    assert_eq!(qualified([1].into_iter()), Some(1));
    assert_eq!(pointers(|a| a, more), 2);
    assert_eq!(Pair(1_u8, 1_u8).swap::<u32>(), (0, 1));
    assert_eq!(unsized_reference("a"), "\"a\"");
    assert_eq!(Pair(1, 2).1, 2);
}
