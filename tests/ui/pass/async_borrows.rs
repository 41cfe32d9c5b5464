//! References in and out, across an `await`.
use crate::support::{block_on, pause, send};
use profiled::profiled;

#[profiled]
async fn shape<'a, T: ?Sized + AsRef<str> + Sync>(a: &'a T, _b: &u32) -> &'a str {
    pause().await;
    a.as_ref()
}

pub(crate) fn run() {
    is!(block_on(send(shape("a", &1))), "a");
}
