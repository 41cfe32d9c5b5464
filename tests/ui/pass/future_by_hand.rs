//! `poll`, written by hand.
use crate::support::block_on;
use profiled::profiled;
use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

struct Counts(u32);
impl Future for Counts {
    type Output = u32;
    #[profiled]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        self.0 += 1;
        if self.0 > 3 {
            return Poll::Ready(self.0);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

pub(crate) fn run() {
    is!(block_on(Counts(0)), 4);
}
