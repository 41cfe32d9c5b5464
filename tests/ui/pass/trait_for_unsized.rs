//! For `str`.
use profiled::profiled;

trait Length {
    fn length(&self) -> usize;
}

impl Length for str {
    #[profiled]
    fn length(&self) -> usize {
        self.len()
    }
}

pub(crate) fn run() {
    is!("ab".length(), 2);
}
