use profiled::profiled;

#[profiled(skip = true)]
fn value() {}

#[profiled(skip(true))]
fn parentheses() {}

fn main() {
    value();
    parentheses();
}
