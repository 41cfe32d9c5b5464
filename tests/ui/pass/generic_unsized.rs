//! `?Sized`.
use profiled::profiled;

#[profiled]
fn shape<T: ?Sized + std::fmt::Debug>(value: &T) -> String {
    format!("{value:?}")
}

pub(crate) fn run() {
    is!((shape("a"), shape(&[1][..])), ("\"a\"".to_owned(), "[1]".to_owned()));
}
