//! Semicolons and braces where one would not expect them.
use profiled::profiled;

#[profiled]
fn shape() -> [u8; {
    const N: usize = 1;
    N + 1
}] {
    [1; {
        const N: usize = 1;
        N + 1
    }]
}

pub(crate) fn run() {
    is!(shape(), [1, 1]);
}
