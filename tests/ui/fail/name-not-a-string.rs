use profiled::profiled;

const NAME: &str = "checkout";

#[profiled(name = NAME)]
fn constant() {}

#[profiled(name = 1)]
fn number() {}

#[profiled(name = b"bytes")]
fn bytes() {}

#[profiled(name = concat!("a", "b"))]
fn expression() {}

fn main() {
    let _ = NAME;
    constant();
    number();
    bytes();
    expression();
}
