//! `?`, with conversions of the error.
use crate::support::{block_on, pause, send};
use profiled::profiled;

#[profiled]
async fn shape(text: &str) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    let n: u32 = text.parse()?;
    pause().await;
    if n == 0 {
        Err("zero")?;
    }
    Ok(n)
}

pub(crate) fn run() {
    is!(block_on(send(shape("1"))).unwrap(), 1);
    is!(block_on(shape("0")).unwrap_err().to_string(), "zero");
    is!(block_on(shape("x")).is_err(), true);
}
