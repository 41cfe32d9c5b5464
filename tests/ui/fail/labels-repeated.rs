#[profiled::profiled(labels(user = 1, "user" = 2))]
fn checkout() {}

fn main() {
    checkout();
}
