use profiled::profiled;

#[profiled(crate = "profiled")]
fn string() {}

#[profiled(crate)]
fn word() {}

#[profiled(crate = profiled::<u8>)]
fn generic() {}

fn main() {
    string();
    word();
    generic();
}
