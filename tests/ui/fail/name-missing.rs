use profiled::profiled;

#[profiled(name)]
fn word() {}

#[profiled(name =)]
fn nothing() {}

#[profiled(name("checkout"))]
fn parentheses() {}

fn main() {
    word();
    nothing();
    parentheses();
}
