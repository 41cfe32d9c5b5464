//! Runs functions of the generated crate in every way they can end, and notes what happens.
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

use crate::support::{block_on, poll_once, say};

/// What the generated functions give.
pub(crate) type Outcome = Result<u32, u32>;

/// One way of running.
fn one(what: &str, f: impl FnOnce() -> String) {
    say(format_args!("{what}"));
    let outcome = catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| "panicked".to_owned());
    say(format_args!("= {outcome}"));
}

/// A function, with each of its inputs.
pub(crate) fn call(name: &str, f: fn(u32) -> Outcome) {
    for n in 0..3 {
        one(&format!("{name}({n})"), || format!("{:?}", f(n)));
    }
}

/// A function that gives a future, which is finished, dropped after a poll, and never polled.
pub(crate) fn wait<F: Future<Output = Outcome>>(name: &str, f: fn(u32) -> F) {
    for n in 0..3 {
        one(&format!("{name}({n})"), || format!("{:?}", block_on(f(n))));
        one(&format!("{name}({n}), one poll"), || {
            let mut future = pin!(f(n));
            format!("{:?}", poll_once(future.as_mut()))
        });
        one(&format!("{name}({n}), no poll"), || {
            drop(f(n));
            "dropped".to_owned()
        });
    }
}

/// An error for some.
pub(crate) fn check(n: u32) -> Outcome {
    if n == 1 { Err(n) } else { Ok(n) }
}
