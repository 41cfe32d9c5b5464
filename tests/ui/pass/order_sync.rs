//! Arguments go in reverse, after locals and temporaries.
use crate::support::{Note, order};
use profiled::profiled;

#[profiled]
fn shape(_a: Note, _: Note, _c: Note) {
    let _local = Note("local");
    _ = Note("temporary").0;
}

pub(crate) fn run() {
    is!(order(|| shape(Note("a"), Note("b"), Note("c"))), "temporary local c b a");
}
