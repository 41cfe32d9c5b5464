//! Nothing less is said of an annotated function.
#![deny(warnings)]
use profiled::profiled;

#[profiled]
#[must_use]
fn must_use() -> u32 {
    1
}

#[profiled]
fn unused(argument: u32) {
    let local = 1;
    let mut never_changed = 1;
    must_use();
    std::convert::identity(never_changed);
    Ok::<u32, u32>(1);
}

#[profiled]
async fn unused_async(argument: u32) -> u32 {
    let local = 1;
    must_use();
    std::future::ready(());
    return 1;
    2
}

struct Cart;

#[profiled]
impl Cart {
    fn used(&self) {
        let mut assigned = 1;
        assigned = 2;
    }
}

fn main() {
    unused(1);
    unused_async(1);
    Cart.used();
}
