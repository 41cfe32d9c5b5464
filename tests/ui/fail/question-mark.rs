use profiled::profiled;

#[profiled]
fn sync(text: &str) -> u32 {
    text.parse()?
}

#[profiled]
async fn asynchronous(text: &str) -> u32 {
    text.parse::<u32>()?
}

fn main() {
    sync("1");
    drop(asynchronous("1"));
}
