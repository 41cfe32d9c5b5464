//! What is not `Send` needs not be.
use crate::support::{block_on, pause};
use profiled::profiled;

#[profiled]
async fn shape(n: std::rc::Rc<u32>) -> u32 {
    pause().await;
    *n
}

pub(crate) fn run() {
    is!(block_on(shape(std::rc::Rc::new(3))), 3);
}
