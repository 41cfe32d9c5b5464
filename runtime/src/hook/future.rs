//! `#[profiled]` on an async function, poll by poll.
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::site::FunctionSite;

/// A future whose polls are scopes.
#[doc(hidden)]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Polled<F> {
    future: Pin<Box<F>>,
}

impl<F: Future> Polled<F> {
    /// What the attribute emits.
    pub fn new(_site: &'static FunctionSite, future: F) -> Polled<F> {
        Polled { future: Box::pin(future) }
    }
}

impl<F: Future> Future for Polled<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.future.as_mut().poll(context)
    }
}
