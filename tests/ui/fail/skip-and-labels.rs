use profiled::profiled;

#[profiled(skip, labels(user = 1))]
fn labels() {}

#[profiled(trace = false, skip)]
fn trace() {}

fn main() {
    labels();
    trace();
}
