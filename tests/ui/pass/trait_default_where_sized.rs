//! A default body that wants `Self: Sized`, of a trait that is used as an object.
use profiled::profiled;

trait Store {
    #[profiled]
    fn shape() -> u32
    where
        Self: Sized,
    {
        7
    }
    #[profiled]
    fn object(&self) -> u32 {
        8
    }
}

impl Store for u8 {}

pub(crate) fn run() {
    let object: &dyn Store = &1_u8;
    is!((u8::shape(), object.object()), (7, 8));
}
