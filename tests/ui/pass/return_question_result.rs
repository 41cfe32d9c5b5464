//! `?` on a `Result`, with a conversion of the error.
use profiled::profiled;

#[profiled]
fn shape(text: &str) -> Result<u32, Box<dyn std::error::Error>> {
    let n: u32 = text.parse()?;
    Ok(n + 1)
}

pub(crate) fn run() {
    is!(shape("4").unwrap(), 5);
    is!(shape("x").unwrap_err().to_string(), "invalid digit found in string");
}
