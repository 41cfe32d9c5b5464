//! A body that is a `$body:block`.
use profiled::profiled;

macro_rules! make {
    ($visibility:vis $name:ident ($($argument:ident: $ty:ty),*) -> $output:ty $body:block) => {
        #[profiled]
        $visibility fn $name($($argument: $ty),*) -> $output $body
    };
}

make!(pub(crate) shape(a: u32, b: Option<u32>) -> Option<u32> { Some(a + b?) });
make!(private() -> u32 { 1 });

pub(crate) fn run() {
    is!((shape(1, Some(1)), shape(1, None), private()), (Some(2), None, 1));
}
