//! Our locals are not the user's.
use profiled::profiled;

#[profiled]
fn sync() {
    drop(_scope);
}

#[profiled]
async fn asynchronous() -> u32 {
    output
}

#[profiled]
fn site() {
    let _ = &__PROFILED_SITE;
}

fn main() {
    sync();
    site();
    drop(asynchronous());
}
