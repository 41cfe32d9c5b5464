//! `break` with a label and a value.
use profiled::profiled;

#[profiled]
fn shape() -> u32 {
    let mut n = 0;
    'outer: loop {
        loop {
            n += 1;
            if n == 5 {
                break 'outer n;
            }
        }
    }
}

pub(crate) fn run() {
    is!(shape(), 5);
}
