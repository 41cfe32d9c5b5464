//! What comes back says what it captures.
use profiled::profiled;

#[profiled]
fn shape<'a>(list: &'a [u32], _other: &str) -> impl Iterator<Item = u32> + use<'a> {
    list.iter().map(|n| n * 2)
}

pub(crate) fn run() {
    is!(shape(&[1, 2], &String::from("gone")).sum::<u32>(), 6);
}
