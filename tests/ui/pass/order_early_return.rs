//! An early return out of nested scopes.
use crate::support::{Note, order};
use profiled::profiled;

#[profiled]
fn shape(_a: Note, n: u32) -> u32 {
    let _outer = Note("outer");
    for i in 0..3 {
        let _inner = Note("inner");
        if i == n {
            return i;
        }
    }
    9
}

pub(crate) fn run() {
    is!(order(|| is!(shape(Note("a"), 1), 1)), "inner inner outer a");
    is!(order(|| is!(shape(Note("a"), 5), 9)), "inner inner inner outer a");
}
