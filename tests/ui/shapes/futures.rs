//! Functions that return a future.
use super::{block_on, pause, send};
use profiled::profiled;
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[profiled]
fn returns_impl(a: u32) -> impl Future<Output = u32> + Send {
    async move {
        pause().await;
        a + 1
    }
}

#[profiled]
fn after_statements(a: &str) -> impl Future<Output = usize> + use<> {
    let length = a.len();
    if length > 100 {
        panic!("long");
    }
    async move { length }
}

#[profiled]
fn by_reference<'a>(a: &'a str) -> impl Future<Output = &'a str> + Send + 'a {
    async move {
        pause().await;
        a
    }
}

#[profiled]
fn without_move() -> impl Future<Output = u32> {
    async { 1 }
}

#[profiled]
fn boxed(a: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    Box::pin(async move { a + 1 })
}

#[profiled]
fn boxed_by_path(a: u32) -> Boxed<'static, u32> {
    std::boxed::Box::pin(async move {
        pause().await;
        a
    })
}

#[rustfmt::skip]
#[profiled]
fn boxed_with_comma(a: u32) -> Boxed<'static, u32> {
    // The comma is the point.
    Box::pin(async move { a })
}

#[profiled]
fn boxed_coerced(flag: bool) -> Pin<Box<dyn Future<Output = Option<Box<dyn Display>>>>> {
    Box::pin(async move {
        if flag {
            return None;
        }
        Some(Box::new(1) as _)
    })
}

#[profiled]
fn coerced(flag: bool) -> impl Future<Output = Result<Box<dyn Display>, String>> {
    async move {
        if flag {
            return Err("a".to_owned());
        }
        Ok(Box::new(1) as _)
    }
}

#[profiled]
fn boxed_call(a: u32) -> Boxed<'static, u32> {
    async fn inner(a: u32) -> u32 {
        a
    }
    Box::pin(inner(a))
}

#[profiled]
fn chooses(flag: bool) -> Boxed<'static, u32> {
    if flag {
        return Box::pin(async { 1 });
    }
    Box::pin(async { 2 })
}

#[profiled]
fn option_of_future(a: u32) -> Option<impl Future<Output = u32>> {
    Some(async move { a })
}

#[profiled]
fn blocks_on() -> u32 {
    block_on(async { 3 })
}

#[profiled]
fn inner_attribute() -> impl Future<Output = u32> {
    #![allow(unused_variables)]
    let unused = 1;
    async move { 4 }
}

#[test]
fn they_give_what_they_gave() {
    block_on(async {
        assert_eq!(send(returns_impl(1)).await, 2);
        assert_eq!(after_statements("abc").await, 3);
        assert_eq!(send(by_reference("a")).await, "a");
        assert_eq!(without_move().await, 1);
        assert_eq!(boxed(1).await, 2);
        assert_eq!(boxed_by_path(1).await, 1);
        assert_eq!(boxed_with_comma(1).await, 1);
        assert!(boxed_coerced(true).await.is_none());
        assert!(boxed_coerced(false).await.is_some());
        assert!(coerced(true).await.is_err() && coerced(false).await.is_ok());
        assert_eq!(boxed_call(1).await, 1);
        assert_eq!(chooses(true).await + chooses(false).await, 3);
        assert_eq!(option_of_future(1).unwrap().await, 1);
        assert_eq!(inner_attribute().await, 4);
    });
    assert_eq!(blocks_on(), 3);
}
