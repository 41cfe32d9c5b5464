//! A refused item stays: who uses it has nothing to complain about.
use profiled::profiled;

struct Cart;

trait Shop {
    fn open(&self) -> u32;
}

#[profiled(naem = "shop")]
impl Shop for Cart {
    fn open(&self) -> u32 {
        close()
    }
}

#[profiled(name = 5)]
fn close() -> u32 {
    1
}

#[profiled(unknown)]
async fn waits() -> u32 {
    close()
}

fn main() {
    let _: u32 = Cart.open() + close();
    let _: std::pin::Pin<Box<dyn Future<Output = u32>>> = Box::pin(waits());
}
