use profiled::profiled;

#[profiled(name = "a", name = "b")]
fn names() {}

#[profiled(skip, skip)]
fn skips() {}

#[profiled(crate = profiled, crate = profiled)]
fn crates() {}

fn main() {
    names();
    skips();
    crates();
}
