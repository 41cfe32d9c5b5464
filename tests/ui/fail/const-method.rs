use profiled::profiled;

struct Cart;

#[profiled]
impl Cart {
    #[profiled(name = "new")]
    pub const fn new() -> Self {
        Cart
    }
}

fn main() {
    let _ = Cart::new();
}
