//! Errors in the body are at the user's tokens, as they are without the attribute.
use profiled::profiled;

#[profiled]
fn sync() -> u32 {
    "text"
}

#[profiled]
async fn asynchronous() -> u32 {
    "text"
}

#[profiled]
async fn unit() {
    "text"
}

#[profiled]
fn future() -> impl Future<Output = u32> {
    async move { "text" }
}

fn main() {
    sync();
    drop((asynchronous(), unit(), future()));
}
