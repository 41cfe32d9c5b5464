//! `<T as Trait>::Item`, in three places.
use profiled::profiled;

#[profiled]
fn shape<I: Iterator>(mut list: I) -> Option<<I as Iterator>::Item>
where
    <I as Iterator>::Item: Copy,
{
    list.next()
}

pub(crate) fn run() {
    is!(shape([1].into_iter()), Some(1));
}
