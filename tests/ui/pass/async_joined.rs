//! Two at once.
use crate::support::{pause, poll_once};
use profiled::profiled;

#[profiled]
async fn shape(n: u32) -> u32 {
    pause().await;
    n
}

pub(crate) fn run() {
    let (mut a, mut b) = (Box::pin(shape(1)), Box::pin(shape(2)));
    is!((poll_once(a.as_mut()), poll_once(b.as_mut())), (None, None));
    is!((poll_once(b.as_mut()), poll_once(a.as_mut())), (Some(2), Some(1)));
}
