//! When things are dropped.
use super::{block_on, pause};
use profiled::profiled;
use std::cell::RefCell;
use std::pin::pin;
use std::task::{Context, Waker};

thread_local! {
    static DROPPED: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Notes its name when it is dropped.
struct Note(&'static str);

impl Drop for Note {
    fn drop(&mut self) {
        DROPPED.with_borrow_mut(|dropped| {
            dropped.push_str(self.0);
            dropped.push(' ');
        });
    }
}

fn order(f: impl FnOnce()) -> String {
    _ = DROPPED.take();
    f();
    DROPPED.take()
}

#[profiled]
fn sync(_a: Note, _: Note, _c: Note) {
    let _local = Note("local");
    Note("temporary");
}

#[profiled]
fn tail(a: &Note) -> usize {
    let _local = Note("local");
    (Note("temporary"), a.0.len()).1
}

#[profiled]
async fn unused(_a: Note, _b: Note, _c: Note) {
    let _local = Note("local");
    pause().await;
}

#[profiled]
async fn used_in_order(a: Note, b: Note, c: Note) -> usize {
    let _local = Note("local");
    pause().await;
    a.0.len() + b.0.len() + c.0.len()
}

#[profiled]
async fn used_in_reverse(a: Note, b: Note) -> usize {
    pause().await;
    b.0.len() + a.0.len()
}

#[profiled]
async fn some_used(_a: Note, b: Note, _c: Note) -> usize {
    pause().await;
    b.0.len()
}

#[profiled]
async fn moved_out(a: Note, b: Note, c: Note) {
    drop(b);
    pause().await;
    _ = (&a, &c);
}

#[profiled]
async fn from_patterns((_a, _b): (Note, Note), [_c, _d]: [Note; 2]) {
    pause().await;
}

struct Holder(#[allow(dead_code)] Note, Note);

impl Holder {
    #[profiled]
    async fn one_field(self, _other: Note) -> usize {
        pause().await;
        self.1.0.len()
    }
}

#[profiled]
async fn async_tail() -> usize {
    let _local = Note("local");
    pause().await;
    (Note("temporary"), 1).1
}

#[test]
fn of_a_function() {
    assert_eq!(order(|| sync(Note("a"), Note("b"), Note("c"))), "temporary local c b a ");
    let note = Note("argument");
    let expected = match crate::EDITION {
        2021 => "local temporary ",
        _ => "temporary local ",
    };
    assert_eq!(order(|| _ = tail(&note)), expected);
    assert_eq!(order(|| _ = block_on(async_tail())), expected);
}

#[test]
fn of_an_async_function() {
    assert_eq!(order(|| block_on(unused(Note("a"), Note("b"), Note("c")))), "local c b a ");
    assert_eq!(order(|| _ = block_on(used_in_order(Note("a"), Note("b"), Note("c")))), "local c b a ");
    assert_eq!(order(|| _ = block_on(used_in_reverse(Note("a"), Note("b")))), "b a ");
    assert_eq!(order(|| _ = block_on(some_used(Note("a"), Note("b"), Note("c")))), "c b a ");
    assert_eq!(order(|| block_on(moved_out(Note("a"), Note("b"), Note("c")))), "b c a ");
    let patterns = || from_patterns((Note("a"), Note("b")), [Note("c"), Note("d")]);
    assert_eq!(order(|| block_on(patterns())), "d c b a ");
    let holder = || Holder(Note("h0"), Note("h1"));
    assert_eq!(order(|| _ = block_on(holder().one_field(Note("other")))), "other h0 h1 ");
}

#[test]
fn of_a_future_that_is_not_finished() {
    let unpolled = order(|| drop(used_in_order(Note("a"), Note("b"), Note("c"))));
    assert_eq!(unpolled, "a b c ");
    let polled_once = order(|| {
        let mut future = pin!(used_in_order(Note("a"), Note("b"), Note("c")));
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    });
    assert_eq!(polled_once, "local c b a ");
}

#[test]
fn of_a_panic() {
    #[profiled]
    fn panics(_a: Note, _b: Note) {
        let _local = Note("local");
        panic!("on purpose");
    }
    let panics = || _ = std::panic::catch_unwind(|| panics(Note("a"), Note("b")));
    assert_eq!(order(panics), "local b a ");
}

use std::future::Future;
