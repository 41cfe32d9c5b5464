//! What `#[profiled]` may stand on. Every test passes in the same way when the attribute is not there: run with
//! and without the feature `enabled`.
mod asyncs;
mod attributes;
mod blocks;
mod forbidden_unsafe;
mod futures;
mod generics;
mod hygiene;
mod macros;
mod names;
mod order;
mod patterns;
mod prelude_less;
mod receivers;
mod returns;
mod traits;

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// Polls until it is done.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// Pending once.
pub(crate) fn pause() -> impl Future<Output = ()> + Send {
    struct Pause(bool);
    impl Future for Pause {
        type Output = ();
        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
        }
    }
    Pause(false)
}

pub(crate) fn send<T: Send>(value: T) -> T {
    value
}
