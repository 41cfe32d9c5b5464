use profiled::profiled;

#[profiled]
fn sync() -> u32 {
    1;
}

#[profiled]
async fn asynchronous() -> String {
    String::new();
}

fn main() {
    sync();
    drop(asynchronous());
}
