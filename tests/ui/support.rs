//! What shapes are made of, and what is noted while they run.
//!
//! Every value that a shape looks at, every drop of a [`Note`] and every panic goes into a trace: two builds of one
//! shape behave alike if their traces are the same.
#![allow(dead_code, unused_macros)] // one crate asks for more than another

use std::cell::RefCell;
use std::fmt::Debug;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

thread_local! {
    static TRACE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static DROPPED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

/// Notes a value, and that it is what it should be.
macro_rules! is {
    ($value:expr, $expected:expr $(,)?) => {{
        let value = $value;
        $crate::support::say(&value);
        ::core::assert_eq!(value, $expected);
    }};
}

/// Puts a value in the trace.
pub(crate) fn say(value: impl Debug) {
    TRACE.with_borrow_mut(|trace| trace.push(format!("{value:?}")));
}

/// What was noted since the last time.
pub(crate) fn trace() -> Vec<String> {
    TRACE.take()
}

/// Notes its name when it is dropped.
pub(crate) struct Note(pub(crate) &'static str);

impl Drop for Note {
    fn drop(&mut self) {
        say(self.0);
        DROPPED.with_borrow_mut(|dropped| dropped.push(self.0));
    }
}

/// The names of the notes that `f` drops.
pub(crate) fn order(f: impl FnOnce()) -> String {
    _ = DROPPED.take();
    f();
    DROPPED.take().join(" ")
}

/// The message that `f` panics with.
pub(crate) fn panics<R>(f: impl FnOnce() -> R) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(f()))) else { return "no panic".to_owned() };
    let message = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    message.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Polls until it is done.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Some(output) = poll_once(future.as_mut()) {
            return output;
        }
    }
}

/// Polls once.
pub(crate) fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
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
