//! Arguments with our locals' names.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
fn shape(_scope: u32, output: u32, enter: u32) -> u32 {
    _scope + output + enter
}

#[profiled]
async fn later(_scope: u32, output: u32, fut: u32, _argument_0: u32, _: u32) -> u32 {
    if output == 0 {
        return 0;
    }
    _scope + output + fut + _argument_0
}

#[profiled(labels(set = set, labels = labels))]
fn labelled(set: u32, labels: u32) -> u32 {
    set + labels
}

pub(crate) fn run() {
    is!((shape(1, 2, 3), block_on(later(1, 2, 3, 4, 5)), labelled(1, 2)), (6, 10, 3));
}
