//! Never polled.
use crate::support::{Note, order, pause};
use profiled::profiled;

#[profiled]
async fn shape(_a: Note, _b: Note) {
    pause().await;
}

pub(crate) fn run() {
    is!(order(|| drop(shape(Note("a"), Note("b")))), "a b");
}
