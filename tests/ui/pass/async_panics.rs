//! A panic after an `await` goes to who polls.
use crate::support::{Note, block_on, order, panics, pause};
use profiled::profiled;

#[profiled]
async fn shape(_note: Note) {
    pause().await;
    panic!("on purpose");
}

pub(crate) fn run() {
    is!(order(|| is!(panics(|| block_on(shape(Note("argument")))), "on purpose")), "argument");
}
