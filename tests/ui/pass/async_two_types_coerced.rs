//! Two types become one `Box<dyn ..>`.
use crate::support::{block_on, pause, send};
use profiled::profiled;

#[profiled]
async fn shape(flag: bool) -> Box<dyn std::fmt::Display + Send> {
    if flag {
        return Box::new(1_u8);
    }
    pause().await;
    Box::new("two")
}

pub(crate) fn run() {
    is!(format!("{}{}", block_on(shape(true)), block_on(send(shape(false)))), "1two");
}
