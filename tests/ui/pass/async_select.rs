//! Dropped between two polls by who races it.
use crate::support::{Note, order, pause, poll_once};
use profiled::profiled;

#[profiled]
async fn shape(_note: Note) -> u32 {
    pause().await;
    1
}

pub(crate) fn run() {
    is!(
        order(|| {
            let mut future = Box::pin(shape(Note("a")));
            is!(poll_once(future.as_mut()), None);
        }),
        "a"
    );
}
