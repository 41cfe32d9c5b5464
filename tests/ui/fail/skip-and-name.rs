#[profiled::profiled(name = "checkout", skip)]
fn checkout() {}

fn main() {
    checkout();
}
