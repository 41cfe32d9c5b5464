//! A conditional return of what was lent.
use profiled::profiled;

#[profiled]
fn shape<'a>(list: &'a mut Vec<u32>, other: &'a mut u32) -> &'a mut u32 {
    if list.is_empty() {
        return other;
    }
    &mut list[0]
}

pub(crate) fn run() {
    is!((*shape(&mut vec![], &mut 1), *shape(&mut vec![2], &mut 1)), (1, 2));
}
