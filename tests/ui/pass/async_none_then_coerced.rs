//! The first `return` tells less of the type than the declaration.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
async fn shape(flag: bool) -> Option<Box<dyn std::fmt::Display>> {
    if flag {
        return None;
    }
    Some(Box::new(1))
}

pub(crate) fn run() {
    is!(
        (block_on(shape(true)).is_none(), block_on(shape(false)).unwrap().to_string()),
        (true, "1".to_owned())
    );
}
