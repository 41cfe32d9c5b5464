//! Asynchronous functions.
use super::{block_on, pause, send};
use profiled::profiled;
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;

#[profiled]
async fn empty() {}

#[rustfmt::skip]
#[profiled]
async fn one_line(a: u32) -> u32 {
    a + 1
}

#[profiled]
async fn early(a: u32) -> u32 {
    if a == 0 {
        return 7;
    }
    pause().await;
    a
}

#[profiled]
async fn unit_return(a: u32) {
    if a == 0 {
        return;
    }
    pause().await;
}

#[profiled]
async fn question(text: &str) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    let n: u32 = text.parse()?;
    pause().await;
    if n == 0 {
        Err("zero")?;
    }
    Ok(n)
}

/// Without a declared type the first `return` would decide.
#[profiled]
async fn none_then_coerced(flag: bool) -> Option<Box<dyn Display>> {
    if flag {
        return None;
    }
    Some(Box::new(1))
}

#[profiled]
async fn two_types(flag: bool) -> Box<dyn Display + Send> {
    if flag {
        return Box::new(1_u8);
    }
    pause().await;
    Box::new("two")
}

#[profiled]
async fn pointer(flag: bool) -> fn(u32) -> u32 {
    fn a(n: u32) -> u32 {
        n
    }
    fn b(n: u32) -> u32 {
        n + 1
    }
    if flag {
        return a;
    }
    b
}

#[profiled]
async fn slice() -> &'static [u8] {
    &[1, 2]
}

#[profiled]
async fn impl_trait(n: u32) -> impl Iterator<Item = u32> {
    pause().await;
    0..n
}

#[profiled]
async fn nested_impl<'a>(text: &'a str, n: u32) -> Result<(impl Iterator<Item = u32>, &'a str), String> {
    if n == 0 {
        return Err(text.to_owned());
    }
    Ok((0..n, text))
}

#[profiled]
async fn never() -> ! {
    panic!("on purpose")
}

#[profiled]
async fn never_with_semicolon() -> ! {
    pause().await;
    std::panic::panic_any(1);
}

#[profiled]
async fn never_loops() -> ! {
    let mut n = 0;
    loop {
        pause().await;
        n += 1;
        if n > 3 {
            panic!();
        }
    }
}

#[profiled]
async unsafe fn unsafe_async(p: *const u32) -> u32 {
    unsafe { *p }
}

#[profiled]
async fn borrows<'a, T: ?Sized + AsRef<str> + Sync>(a: &'a T, _b: &u32) -> &'a str {
    pause().await;
    a.as_ref()
}

#[profiled]
async fn generic<T, F, Fut>(value: T, f: F) -> T
where
    F: FnOnce(T) -> Fut,
    Fut: Future<Output = T>,
{
    f(value).await
}

#[profiled]
fn recursive(n: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    Box::pin(async move { if n == 0 { 0 } else { recursive(n - 1).await + 1 } })
}

#[profiled]
async fn boxes_itself(n: u32) -> u32 {
    if n == 0 {
        return 0;
    }
    Box::pin(boxes_itself(n - 1)).await + 1
}

#[profiled]
async fn labelled() -> u32 {
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

#[profiled]
async fn mutable(mut a: Vec<u32>) -> Vec<u32> {
    a.push(1);
    pause().await;
    a.push(2);
    a
}

#[profiled]
async fn moved(a: String) -> usize {
    let length = a.len();
    drop(a);
    pause().await;
    length
}

#[profiled]
async fn inner_closure(a: u32) -> u32 {
    let f = move |b| a + b;
    let g = async move { f(1) };
    g.await
}

#[test]
fn they_end_as_they_did() {
    block_on(async {
        empty().await;
        assert_eq!(one_line(1).await, 2);
        assert_eq!((early(0).await, early(1).await), (7, 1));
        unit_return(0).await;
        unit_return(1).await;
        assert_eq!(question("1").await.unwrap(), 1);
        assert!(question("x").await.is_err() && question("0").await.is_err());
        assert!(none_then_coerced(true).await.is_none());
        assert_eq!(none_then_coerced(false).await.unwrap().to_string(), "1");
        assert_eq!(format!("{}{}", two_types(true).await, two_types(false).await), "1two");
        assert_eq!(pointer(true).await(1) + pointer(false).await(1), 3);
        assert_eq!(slice().await, [1, 2]);
        assert_eq!(impl_trait(3).await.count(), 3);
        assert!(nested_impl("a", 0).await.is_err());
        assert_eq!(nested_impl("a", 1).await.unwrap().1, "a");
        assert_eq!(unsafe { unsafe_async(&5).await }, 5);
        assert_eq!(borrows("a", &1).await, "a");
        assert_eq!(generic(1, async |a| a + 1).await, 2);
        assert_eq!(recursive(3).await, 3);
        assert_eq!(boxes_itself(3).await, 3);
        assert_eq!(labelled().await, 3);
        assert_eq!(mutable(vec![]).await, [1, 2]);
        assert_eq!(moved("abc".into()).await, 3);
        assert_eq!(inner_closure(1).await, 2);
    });
}

#[test]
fn what_never_ends_panics() {
    fn panics<F: Future>(make: impl FnOnce() -> F) -> bool {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(block_on(make())))).is_err()
    }
    assert!(panics(never));
    assert!(panics(never_with_semicolon));
    assert!(panics(never_loops));
}

#[test]
fn they_are_send_when_they_were() {
    drop(send(early(1)));
    drop(send(question("1")));
    drop(send(two_types(true)));
    drop(send(borrows("a", &1)));
    drop(send(recursive(1)));
    drop(send(mutable(vec![])));
}

#[test]
fn they_are_unwind_safe_when_they_were() {
    fn unwind_safe<T: std::panic::UnwindSafe>(_: T) {}
    unwind_safe(generic_free(1));
}

#[profiled]
async fn generic_free(n: u32) -> u32 {
    n
}

#[test]
fn nothing_runs_before_the_first_poll() {
    #[profiled]
    async fn lazy(flag: &std::cell::Cell<bool>) {
        flag.set(true);
    }
    let flag = std::cell::Cell::new(false);
    let future = lazy(&flag);
    assert!(!flag.get());
    block_on(future);
    assert!(flag.get());
}
