//! `impl Trait` inside of a `Result`, with an early return.
use crate::support::block_on;
use profiled::profiled;

#[profiled]
async fn shape<'a>(text: &'a str, n: u32) -> Result<(impl Iterator<Item = u32>, &'a str), String> {
    if n == 0 {
        return Err(text.to_owned());
    }
    Ok((0..n, text))
}

pub(crate) fn run() {
    is!((block_on(shape("a", 0)).err(), block_on(shape("a", 1)).unwrap().1), (Some("a".to_owned()), "a"));
}
