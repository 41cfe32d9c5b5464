//! The error is at the user's own token, once.
#[profiled::profiled(labels(user = id))]
fn checkout() {}

fn main() {
    checkout();
}
