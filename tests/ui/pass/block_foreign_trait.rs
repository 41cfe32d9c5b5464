//! A trait of the standard library's.
use profiled::profiled;

struct Cart(u32);
#[profiled]
impl std::fmt::Display for Cart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[profiled]
impl Iterator for Cart {
    type Item = u32;
    fn next(&mut self) -> Option<u32> {
        self.0 = self.0.checked_sub(1)?;
        Some(self.0)
    }
}

pub(crate) fn run() {
    is!((Cart(3).to_string(), Cart(3).sum::<u32>()), ("3".to_owned(), 3));
}
