//! `>>` and `<<` that close and that shift.
use profiled::profiled;

#[profiled]
fn shape(list: Vec<Option<Vec<u32>>>) -> Option<Option<u32>> {
    Some(list.first().map(|l| l.as_ref().map_or(1 << 3 >> 1, |l| l[0])))
}

pub(crate) fn run() {
    is!((shape(vec![]), shape(vec![None])), (Some(None), Some(Some(4))));
}
