//! A generic block.
use profiled::profiled;

struct Wrapper<T>(T);
#[profiled]
impl<T: Clone> Wrapper<T>
where
    T: Default,
{
    fn get(&self) -> T {
        self.0.clone()
    }
}

#[profiled]
impl<'a, T> IntoIterator for &'a Wrapper<Vec<T>> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

pub(crate) fn run() {
    is!((Wrapper(1).get(), (&Wrapper(vec![1])).into_iter().count()), (1, 1));
}
