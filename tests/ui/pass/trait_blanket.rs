//! For every type.
use profiled::profiled;

trait Twice {
    fn twice(&self) -> String;
}

impl<T: std::fmt::Display + ?Sized> Twice for T {
    #[profiled]
    fn twice(&self) -> String {
        format!("{self}{self}")
    }
}

pub(crate) fn run() {
    is!((1.twice(), "a".twice()), ("11".to_owned(), "aa".to_owned()));
}
