//! `_`, and a name that says it is unused.
use crate::support::{Note, order};
use profiled::profiled;

#[profiled]
fn shape(_: u32, _named: u32) {}

pub(crate) fn run() {
    shape(1, 2);
    is!(order(|| ignored(Note("a"), Note("b"))), "b a");
}
#[profiled]
fn ignored(_: Note, _b: Note) {}
