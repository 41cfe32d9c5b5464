//! A generic associated type.
use profiled::profiled;

trait Lends {
    type Item<'a>
    where
        Self: 'a;
    fn lend(&mut self) -> Self::Item<'_>;
}

impl Lends for Vec<u8> {
    type Item<'a> = &'a mut [u8];
    #[profiled]
    fn lend(&mut self) -> Self::Item<'_> {
        &mut self[..1]
    }
}

pub(crate) fn run() {
    is!(vec![1, 2].lend().len(), 1);
}
