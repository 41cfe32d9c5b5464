//! A default body.
use profiled::profiled;

trait Store {
    fn required(&self) -> u32;
    #[profiled]
    fn shape(&self) -> u32 {
        self.required() + 1
    }
}

impl Store for u8 {
    fn required(&self) -> u32 {
        u32::from(*self)
    }
}

pub(crate) fn run() {
    is!(3_u8.shape(), 4);
}
