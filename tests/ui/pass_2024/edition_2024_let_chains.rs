//! Since 2024: `if let .. && let ..`.
use profiled::profiled;

#[profiled]
fn shape(a: Option<u32>, b: Option<u32>) -> u32 {
    if let Some(a) = a
        && let Some(b) = b
        && a < b
    {
        return b - a;
    }
    0
}

pub(crate) fn run() {
    is!((shape(Some(1), Some(3)), shape(None, Some(1))), (2, 0));
}
