#[profiled::profiled("checkout")]
fn checkout() {}

fn main() {
    checkout();
}
