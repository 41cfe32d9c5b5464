use profiled::profiled;

#[profiled(trace)]
fn word() {}

#[profiled(trace = "off")]
fn text() {}

#[profiled(trace =)]
fn nothing() {}

#[profiled(trace(false))]
fn parentheses() {}

fn main() {
    word();
    text();
    nothing();
    parentheses();
}
