use profiled::profiled;

#[profiled(nmae = "checkout")]
fn checkout() {}

fn main() {
    checkout();
}
