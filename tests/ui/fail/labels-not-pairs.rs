use profiled::profiled;

#[profiled(labels)]
fn word() {}

#[profiled(labels())]
fn nothing() {}

#[profiled(labels = "user")]
fn text() {}

#[profiled(labels(user))]
fn key() {}

#[profiled(labels(user =))]
fn no_value() {}

#[profiled(labels(user => 1))]
fn arrow() {}

#[profiled(labels(1 = 1))]
fn number() {}

#[profiled(labels(user == 1))]
fn compared() {}

#[profiled(labels("" = 1))]
fn empty() {}

fn main() {
    word();
    nothing();
    text();
    key();
    no_value();
    arrow();
    number();
    compared();
    empty();
}
