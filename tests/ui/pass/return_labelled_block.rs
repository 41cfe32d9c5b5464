//! A block with a label.
use profiled::profiled;

#[profiled]
fn shape(n: u32) -> u32 {
    'found: {
        if n > 3 {
            break 'found 1;
        }
        2
    }
}

pub(crate) fn run() {
    is!((shape(4), shape(1)), (1, 2));
}
