//! What an `impl` block tells its methods is read like everything else.
#[profiled::profiled(__method)]
fn checkout() {}

fn main() {
    checkout();
}
