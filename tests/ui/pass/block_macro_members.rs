//! Members that macros make.
use profiled::profiled;

macro_rules! getter {
    ($name:ident) => {
        fn $name(&self) -> u32 {
            self.0
        }
    };
}

struct Cart(u32);
#[profiled]
impl Cart {
    getter! { braces }
    getter!(parentheses);
    fn after(&self) -> u32 {
        5
    }
}

pub(crate) fn run() {
    is!((Cart(3).braces(), Cart(3).parentheses(), Cart(3).after()), (3, 3, 5));
}
