//! The tail is an `if` without a value.
use profiled::profiled;

#[profiled]
fn shape(list: &mut Vec<u32>) {
    list.push(1);
    if list.len() > 1 {
        list.clear()
    }
}

pub(crate) fn run() {
    let mut list = vec![];
    shape(&mut list);
    is!(&list, &[1]);
    shape(&mut list);
    is!(list.len(), 0);
}
