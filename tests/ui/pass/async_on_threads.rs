//! Polled on one thread and another.
use crate::support::{pause, poll_once};
use profiled::profiled;

#[profiled]
async fn shape(n: u32) -> u32 {
    pause().await;
    n + 1
}

pub(crate) fn run() {
    let mut future = Box::pin(shape(1));
    is!(poll_once(future.as_mut()), None);
    let done = std::thread::spawn(move || poll_once(future.as_mut())).join().unwrap();
    is!(done, Some(2));
}
