//! An implementation with constants and types.
use profiled::profiled;

trait Shop {
    const ID: u32;
    type Item;
    fn item(&self) -> Self::Item;
    fn open(&self) -> bool {
        true
    }
}

#[profiled]
impl Shop for u8 {
    const ID: u32 = 9;
    type Item = u32;
    fn item(&self) -> u32 {
        u32::from(*self)
    }
}

pub(crate) fn run() {
    is!((u8::ID, 1_u8.item(), 1_u8.open()), (9, 1, true));
}
