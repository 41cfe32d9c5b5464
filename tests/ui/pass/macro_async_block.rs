//! An `async fn` whose body is a `$body:block`.
use crate::support::{block_on, pause};
use profiled::profiled;

macro_rules! make {
    ($name:ident ($argument:pat, $ty:ty) -> $output:ty $body:block) => {
        #[profiled]
        async fn $name($argument: $ty) -> $output $body
    };
}

make!(shape((a, b), (u32, u32)) -> Option<Box<dyn std::fmt::Debug>> {
    if a == 0 { return None; }
    pause().await;
    Some(Box::new(b))
});

pub(crate) fn run() {
    is!((block_on(shape((0, 1))).is_none(), block_on(shape((1, 1))).is_some()), (true, true));
}
