use profiled::profiled;

#[profiled]
fn sync() -> &'static str {
    let text = String::new();
    &text
}

#[profiled]
async fn moved(text: String) -> usize {
    drop(text);
    text.len()
}

fn main() {
    sync();
    drop(moved(String::new()));
}
