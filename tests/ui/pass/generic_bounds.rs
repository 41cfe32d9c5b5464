//! Bounds inline and behind `where`.
use profiled::profiled;

#[profiled]
fn shape<T: std::fmt::Debug + Clone, U>(value: &T, _unused: U) -> String
where
    U: Into<String>,
{
    format!("{:?}", value.clone())
}

pub(crate) fn run() {
    is!(shape(&[1], "x"), "[1]");
}
