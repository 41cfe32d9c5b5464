//! A method with parameters of its own.
use profiled::profiled;

trait Visit {
    fn visit<F: FnMut(u32)>(&self, f: F);
}

impl Visit for [u32] {
    #[profiled]
    fn visit<F: FnMut(u32)>(&self, f: F) {
        self.iter().copied().for_each(f);
    }
}

pub(crate) fn run() {
    let mut sum = 0;
    [1, 2].visit(|n| sum += n);
    is!(sum, 3);
}
