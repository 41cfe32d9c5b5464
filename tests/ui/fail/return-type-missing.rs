//! The usual mistakes in a body, told as usual.
use profiled::profiled;

#[profiled]
fn sync() {
    1 + 1
}

#[profiled]
fn unknown() -> u32 {
    nothing_of_this_name
}

#[profiled]
async fn early(flag: bool) -> u32 {
    if flag {
        return "text";
    }
    1
}

#[profiled]
fn method() -> usize {
    String::new().length()
}

fn main() {
    sync();
    unknown();
    drop(early(true));
    method();
}
