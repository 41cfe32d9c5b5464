//! Since 2024: the same, asynchronous.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
async fn shape() -> usize {
    let cell = std::sync::Mutex::new(vec![1]);
    cell.lock().unwrap().len()
}

pub(crate) fn run() {
    is!(block_on(shape()), 1);
}
