use profiled::profiled;

#[profiled(labels(user = id))]
fn labels(id: u32) -> u32 {
    id
}

#[profiled(name = "b", trace = false)]
fn trace() {}

fn main() {
    labels(1);
    trace();
}
