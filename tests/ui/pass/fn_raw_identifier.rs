//! A keyword for a name.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
fn r#match(r#type: u32) -> u32 {
    r#type
}

#[profiled]
async fn r#loop(r#fn: u32) -> u32 {
    r#fn
}

pub(crate) fn run() {
    is!((r#match(1), block_on(r#loop(2))), (1, 2));
}
