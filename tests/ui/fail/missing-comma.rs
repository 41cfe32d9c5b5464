#[profiled::profiled(name = "checkout" crate = profiled)]
fn checkout() {}

fn main() {
    checkout();
}
