//! Polled once, then dropped.
use crate::support::{Note, order, pause, poll_once};
use profiled::profiled;

#[profiled]
async fn shape(a: Note, _: Note, c: Note) -> usize {
    let _local = Note("local");
    pause().await;
    a.0.len() + c.0.len()
}

pub(crate) fn run() {
    is!(
        order(|| {
            let mut future = Box::pin(shape(Note("a"), Note("b"), Note("c")));
            is!(poll_once(future.as_mut()), None);
        }),
        "local c b a"
    );
}
