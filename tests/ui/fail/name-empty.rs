#[profiled::profiled(name = "")]
fn checkout() {}

fn main() {
    checkout();
}
