#[profiled::profiled(crate = ::elsewhere)]
fn checkout() {}

fn main() {
    checkout();
}
